"""The tables of keys, tickets, scans, links to tickets, and mails about tickets. Steps are in `operations`.

A trigger on reservations (`sql/admission_reservation_changed.sql`) makes tickets in the transaction that validates
their reservation, and revokes them in the one that ends it. So no code that changes a reservation can forget its
tickets.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from tickets.admission.rules import GATE_LENGTH, HOLDER_LENGTH, SERIAL_LENGTH, ScanResult, TicketState
from tickets.models import Event, Reservation


class Key(models.Model):
    """A key that signs codes of one event. `keys` derives its private half, which is stored nowhere."""

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    salt = models.BinaryField(max_length=16)
    public_key = models.BinaryField(max_length=32, unique=True)
    created = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, help_text="From then on, codes that it signed open nothing.")

    def __str__(self) -> str:
        return f"key {self.pk} of event {self.event_id}"


class Ticket(models.Model):
    """One seat of a paid reservation. It opens the door once."""

    State = TicketState
    # This replaces the address in `handed_to` when the data of that person is erased. No mail is sent to it.
    NOBODY = "erased@erased.invalid"

    # The index of the unique constraint below begins with this column.
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="+", db_index=False)
    # The event of the reservation's ticket type; the trigger writes it. It is not a foreign key in the database,
    # because its check would lock the event's row at each validation.
    event = models.ForeignKey(
        Event, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    seat = models.IntegerField(help_text="The number of the ticket in its reservation, from 1.")
    serial = models.CharField(max_length=SERIAL_LENGTH, unique=True)
    issue = models.SmallIntegerField(default=1, help_text="The number of the ticket's present code.")
    holder = models.CharField(
        max_length=HOLDER_LENGTH, blank=True, help_text="The name of the person who comes with it."
    )
    handed_to = models.EmailField(
        blank=True,
        default="",
        db_default="",
        help_text="The e-mail address of the person to whom it was handed over. Empty: the buyer has it.",
    )
    state = models.CharField(
        max_length=8,
        choices=[(state.value, state.value.title()) for state in TicketState],
        default=TicketState.VALID.value,
    )
    admitted_at = models.DateTimeField(null=True)
    admitted_gate = models.CharField(max_length=GATE_LENGTH, blank=True)
    revoked_at = models.DateTimeField(null=True)
    changed = models.BigIntegerField(
        help_text="The transaction that changed it last: pg_current_xact_id() of PostgreSQL."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reservation", "seat"], name="ticket_one_per_seat"),
            models.CheckConstraint(condition=Q(seat__gte=1), name="ticket_seat_positive"),
            models.CheckConstraint(condition=Q(issue__gte=1), name="ticket_issue_positive"),
            models.CheckConstraint(
                condition=Q(state=TicketState.VALID, admitted_at=None, revoked_at=None)
                | Q(state=TicketState.ADMITTED, admitted_at__isnull=False, revoked_at=None)
                | Q(state=TicketState.REVOKED, revoked_at__isnull=False),
                name="ticket_state_agrees_with_its_times",
            ),
        ]
        indexes = [models.Index(fields=["event", "changed"], name="ticket_by_change")]

    def __str__(self) -> str:
        return f"ticket {self.serial} ({self.state})"


class Scan(models.Model):
    """A scan at a gate, with its answer. The row is never deleted.

    Only two things change the row: an undo, and a gate that sends the same scan again as `unchecked`.
    """

    Result = ScanResult

    scan_id = models.UUIDField(unique=True, help_text="The door chooses it, so that a repeat counts once.")
    # The event that was chosen at the door, otherwise that of the ticket.
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    ticket = models.ForeignKey(Ticket, null=True, on_delete=models.PROTECT, related_name="+")
    gate = models.CharField(max_length=GATE_LENGTH)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    result = models.CharField(max_length=16)
    first = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="The scan that admitted the ticket before this one.",
    )
    at = models.DateTimeField(help_text="When it was made, by the clock of the door.")
    recorded_at = models.DateTimeField(help_text="When it was recorded.")
    unchecked = models.BooleanField(
        default=False,
        help_text="Whether the gate let the holder in without a network, before this was recorded.",
    )
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        permissions = [
            ("use_door", "Can scan tickets, search them and see who was admitted"),
            ("undo_admission", "Can undo an admission"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket"],
                condition=Q(result=ScanResult.ADMITTED, undone_at=None),
                name="scan_one_admission_per_ticket",
            ),
            models.CheckConstraint(condition=Q(result__in=[*ScanResult]), name="scan_result_known"),
            models.CheckConstraint(
                condition=Q(result=ScanResult.UNKNOWN) | Q(ticket__isnull=False, event__isnull=False),
                name="scan_of_a_ticket",
            ),
            models.CheckConstraint(
                condition=Q(undone_at=None, undone_by=None)
                | Q(result=ScanResult.ADMITTED, undone_at__isnull=False, undone_by__isnull=False),
                name="scan_undone_was_admitted",
            ),
        ]
        indexes = [
            models.Index(fields=["event", "recorded_at"], name="scan_by_event"),
            models.Index(
                fields=["undone_at", "id"], condition=Q(undone_at__isnull=False), name="scan_undone"
            ),
        ]

    def __str__(self) -> str:
        return f"scan {self.scan_id} ({self.result})"


class OrderLink(models.Model):
    """The number of the link that works now for an order's tickets (see `links`). Without a row, it is 1."""

    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, related_name="+", primary_key=True, help_text="The order."
    )
    number = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(number__gte=2), name="order_link_number_rises")]

    def __str__(self) -> str:
        return f"link {self.number} of order {self.reservation_id}"


class HandOverNotice(models.Model):
    """A mail about a ticket that was handed over. The row is written with the change; checkout sends the mail."""

    class Kind(models.TextChoices):
        RECEIVED = "received", "To the new holder"
        GIVEN = "given", "To the person who handed it over"
        WITHDRAWN = "withdrawn", "To an earlier holder, who did not hand it over"

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+", db_index=False)
    issue = models.SmallIntegerField(help_text="The ticket's issue from then on.")
    kind = models.CharField(max_length=9, choices=Kind)
    to = models.EmailField()
    created = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ticket", "issue", "kind"], name="hand_over_notice_once"),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(next_look_at__isnull=False),
                name="hand_over_notice_to_send",
            ),
        ]

    def __str__(self) -> str:
        return f"notice of ticket {self.ticket_id}, issue {self.issue} ({self.kind})"


class HolderNotice(models.Model):
    """A mail to the holder of a ticket that was handed over: the event was moved or cancelled.

    The row is written when the mail to the ticket's buyer is first tried. Checkout sends the mail.
    """

    class Kind(models.TextChoices):
        MOVED = "moved", "The event has another date or place"
        CANCELLED = "cancelled", "The event is cancelled"

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+", db_index=False)
    issue = models.SmallIntegerField(help_text="The ticket's issue when it was written.")
    kind = models.CharField(max_length=9, choices=Kind)
    date_before = models.DateTimeField(null=True)
    time_zone_before = models.CharField(max_length=64, blank=True)
    venue_before = models.TextField(null=True)
    address_before = models.TextField(null=True)
    message = models.TextField(
        blank=True, help_text="The text that staff wrote when they cancelled the event."
    )
    created = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "issue", "kind"],
                condition=Q(next_look_at__isnull=False, attempts=0),
                name="holder_notice_waits_once",
            ),
            models.CheckConstraint(
                condition=~Q(kind="moved") | Q(date_before__isnull=False), name="holder_notice_says_from_when"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(next_look_at__isnull=False),
                name="holder_notice_to_send",
            ),
            models.Index(fields=["ticket"], name="holder_notice_of_ticket"),
        ]

    def __str__(self) -> str:
        return f"notice to the holder of ticket {self.ticket_id} ({self.kind})"
