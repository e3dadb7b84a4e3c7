"""The tables of events, ticket types, inventories and reservations. Decisions are in `rules`.

Counters and money change only in the modules of operations and in `tickets/sql`.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value

from overlord.accounts.models import NameKey
from overlord.kernel.idempotency import KEY_LENGTH
from overlord.kernel.money import LARGEST_MINOR
from overlord.kernel.texts import NOT_IN_A_LINE
from overlord.shop import pictures
from tickets.event_rules import ADDRESS_LENGTH, VENUE_LENGTH, EventStatus
from tickets.move_models import MoveNotice as MoveNotice
from tickets.rules import (
    EARLIEST,
    ENDED_STATES,
    LARGEST_TOTAL_MINOR,
    LATEST,
    LIVE_STATES,
    NAME_LENGTH,
    TYPE_NAME_LENGTH,
    Buyers,
    Opening,
    ReservationState,
)
from tickets.voucher_models import Voucher as Voucher
from tickets.voucher_models import voucher_of_reservation


def default_time_zone() -> str:
    """Return the default time zone of an event: the setting TIME_ZONE."""
    return settings.TIME_ZONE


class Event(models.Model):
    """Something that people attend, and for which tickets are sold."""

    Status = EventStatus

    name = models.CharField(max_length=NAME_LENGTH)
    date = models.DateTimeField(
        help_text="When it begins. Sales end then, unless a ticket type says otherwise."
    )
    time_zone = models.CharField(
        max_length=64,
        default=default_time_zone,
        help_text="Dates and times of this event are entered and shown in this time zone.",
    )
    currency = models.CharField(
        max_length=3, default="EUR", help_text="A currency code of ISO 4217, for example EUR."
    )
    ends_at = models.DateTimeField("ends", null=True, blank=True, help_text="When it ends, if you know.")
    venue = models.CharField(
        max_length=VENUE_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="The name of the place, for example Town Hall.",
    )
    address = models.CharField(
        max_length=ADDRESS_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="Street, postcode and town, as visitors enter them in a map.",
    )
    description = models.TextField(blank=True)
    # The name of a picture that `overlord.shop.pictures` keeps, or empty.
    picture = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    status = models.CharField(
        max_length=10,
        choices=[(status.value, status.value.replace("_", " ").capitalize()) for status in EventStatus],
        default=EventStatus.ON_SALE.value,
        db_default=EventStatus.ON_SALE.value,
        editable=False,
    )
    buyers = models.CharField(
        max_length=8,
        choices=[(Buyers.ANYONE.value, "Anyone"), (Buyers.ACCOUNTS.value, "People with an account")],
        default=Buyers.ANYONE.value,
        db_default=Buyers.ANYONE.value,
        help_text="Who may buy: without an account, an e-mail address is enough.",
    )
    opening = models.CharField(
        max_length=10,
        choices=[(opening.value, opening.value.title()) for opening in Opening],
        default=Opening.DIRECT.value,
        db_default=Opening.DIRECT.value,
        help_text="With a draw, people join a line before the sale opens. The draw decides who gets tickets first.",
    )
    # It rises with each change that a calendar shows. It is the SEQUENCE of calendar files (RFC 5545).
    calendar_version = models.IntegerField(default=0, db_default=0, editable=False)
    version = models.BigIntegerField(default=1, editable=False)

    class Meta:
        permissions = [
            ("pause_sale", "Can pause and resume sales"),
            ("manage_events", "Can make and edit events, and put them on sale"),
        ]
        indexes = [
            models.Index(fields=["date", "id"], name="event_by_date"),
            # This index has few rows. The task that serves lines reads it twice a second.
            models.Index(fields=["id"], condition=Q(opening=Opening.DRAW.value), name="event_by_draw"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(buyers__in=[*Buyers]), name="event_buyers_known"),
            models.CheckConstraint(condition=Q(status__in=[*EventStatus]), name="event_status_known"),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("date"), ends_at__lt=LATEST),
                name="event_ends_after_it_begins",
                violation_error_message="An event must end after it begins.",
            ),
            models.CheckConstraint(
                condition=~Q(venue__regex=NOT_IN_A_LINE) & ~Q(address__regex=NOT_IN_A_LINE),
                name="event_place_on_lines",
                violation_error_message="Venue and address must each be one line of text.",
            ),
            models.CheckConstraint(
                condition=Q(picture__regex=rf"^({pictures.NAME})?$"), name="event_picture_named"
            ),
            models.CheckConstraint(
                condition=~Q(name__regex=NOT_IN_A_LINE) & ~Q(name=""),
                name="event_name_on_one_line",
                violation_error_message="The name must be one line of text.",
            ),
            models.CheckConstraint(
                condition=Q(date__gte=EARLIEST, date__lt=LATEST),
                name="event_date_bounded",
                violation_error_message=f"The date must be from {EARLIEST.year} to {LATEST.year - 1}.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TicketType(models.Model):
    """A type of ticket of one event. Reservations refer to it, so its counters are in another row (Inventory)."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="ticket_types")
    name = models.CharField(max_length=TYPE_NAME_LENGTH, help_text="For example Regular, VIP or Reduced.")
    price_minor = models.BigIntegerField("price", help_text="In minor units: 1500 is 15.00 EUR.")
    max_per_user = models.IntegerField(
        "limit per person", default=10, help_text="How many tickets of this type one person may have."
    )
    hidden = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Not shown to buyers. They can reserve it only with a code for it. Staff can sell it.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("event", NameKey("name"), name="ticket_type_unique_in_event"),
            models.CheckConstraint(
                condition=~Q(name__regex=NOT_IN_A_LINE) & ~Q(name=""),
                name="ticket_type_name_on_one_line",
                violation_error_message="The name must be one line of text.",
            ),
            models.CheckConstraint(
                condition=Q(price_minor__gte=0, price_minor__lte=LARGEST_MINOR),
                name="ticket_type_price_bounded",
                violation_error_message="The price is negative or too high.",
            ),
            models.CheckConstraint(
                condition=Q(max_per_user__gte=1),
                name="ticket_type_max_per_user_positive",
                violation_error_message="The limit per person must be 1 or more.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Inventory(models.Model):
    """The row of counters of one ticket type, on which all claims of the type are decided.

    No table refers to this row, because inserting a row that refers to it would lock it. Its counters have no
    index, because each change of an indexed column writes the index too.
    """

    ticket_type = models.OneToOneField(
        TicketType, on_delete=models.CASCADE, primary_key=True, related_name="inventory"
    )
    capacity = models.IntegerField(help_text="How many tickets of this type there are.")
    held = models.IntegerField(default=0, editable=False)
    sold = models.IntegerField(default=0, editable=False)
    opens_at = models.DateTimeField(
        null=True, blank=True, help_text="Null means that the sale opens immediately."
    )
    closes_at = models.DateTimeField(help_text="Usually the date of the event.")
    paused = models.BooleanField(default=False)
    # Whether staff paused only this type, and not the whole sale. It says nothing while the type is not paused.
    paused_alone = models.BooleanField(default=False, db_default=False, editable=False)
    # Whether people in line get tickets first. This column is here, so that a claim that waits for this row sees a
    # change.
    line_first = models.BooleanField(default=False, db_default=False, editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    # These are counted here as they happen, so that a read of them costs O(ticket types) and not O(reservations).
    reservations = models.BigIntegerField("reservations made", default=0, editable=False)
    reserved_tickets = models.BigIntegerField("tickets ever reserved", default=0, editable=False)
    reservations_paid = models.BigIntegerField("reservations ever paid", default=0, editable=False)
    reservations_expired = models.BigIntegerField("reservations expired", default=0, editable=False)
    payments_failed = models.BigIntegerField("failed tries to pay", default=0, editable=False)
    # This is wider than a bigint, so that every sum of prices fits. Otherwise a payment could not be settled.
    revenue_minor = models.DecimalField(
        "revenue",
        max_digits=24,
        decimal_places=0,
        default=0,
        editable=False,
        help_text="In minor units, less the refunds.",
    )

    class Meta:
        verbose_name_plural = "inventories"
        indexes = [
            models.Index(fields=["opens_at"], name="inventory_opening"),
            models.Index(fields=["closes_at"], name="inventory_closing"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="inventory_held_not_negative"),
            models.CheckConstraint(condition=Q(sold__gte=0), name="inventory_sold_not_negative"),
            models.CheckConstraint(
                condition=Q(capacity__gte=F("held") + F("sold")), name="inventory_never_oversold"
            ),
            models.CheckConstraint(
                condition=Q(opens_at=None) | Q(opens_at__lt=F("closes_at")),
                name="inventory_opens_before_it_closes",
            ),
            models.CheckConstraint(
                condition=(Q(opens_at=None) | Q(opens_at__gte=EARLIEST))
                & Q(closes_at__gte=EARLIEST, closes_at__lt=LATEST),
                name="inventory_times_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.held} held and {self.sold} sold of {self.capacity}"


class Reservation(models.Model):
    """Tickets of one type that a buyer holds, or has paid for. The row stays after the reservation has ended."""

    State = ReservationState
    LIVE = LIVE_STATES
    ENDED = ENDED_STATES

    # These columns have no index of their own: indexes below begin with them, and each index costs every claim one
    # more write.
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    ticket_type = models.ForeignKey(TicketType, on_delete=models.PROTECT, related_name="+", db_index=False)
    lead = models.ForeignKey(
        "self",
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,  # sql/reservation_order_agrees.sql is its constraint
        help_text="The first reservation of the order. Empty for the first one itself.",
    )
    quantity = models.IntegerField(help_text="How many tickets.")
    quantity_claimed = models.IntegerField(
        null=True, editable=False, help_text="The quantity that was claimed, if it has changed since."
    )
    unit_price_minor = models.BigIntegerField(
        "unit price", help_text="The price of one ticket when they were reserved, in minor units."
    )
    currency = models.CharField(max_length=3, help_text="The currency of the unit price.")
    voucher = voucher_of_reservation()
    discount_minor = models.BigIntegerField("discount of the unit price", null=True, editable=False)
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.value.title()) for state in ReservationState],
        default=ReservationState.HELD.value,
    )
    created = models.DateTimeField()
    expires_at = models.DateTimeField()
    paying_since = models.DateTimeField(null=True, help_text="When the buyer last pressed Pay.")
    validated_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=KEY_LENGTH, null=True)
    key_of_batch = models.BooleanField(
        null=True,
        editable=False,
        help_text="Whether its key is that of a batch. Empty if this is not known, or there is no key.",
    )
    # Set by sql/reservation_person_limit.sql.
    person_key = models.TextField(
        null=True,
        editable=False,
        help_text="The person who pays or has paid, by e-mail address. The limit per person counts by it.",
    )
    version = models.BigIntegerField(default=1)

    class Meta:
        permissions = [("return_tickets", "Can put the tickets of a paid reservation back on sale")]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gte=1), name="reservation_quantity_positive"),
            models.CheckConstraint(  # a division, because a product could overflow
                condition=Q(unit_price_minor__lte=Value(LARGEST_TOTAL_MINOR) / F("quantity")),
                name="reservation_total_bounded",
            ),
            # sql/reservation_order_agrees.sql makes sure that an order has one lead, buyer, event and currency.
            models.CheckConstraint(
                condition=Q(lead=None) | Q(lead__lt=F("id")), name="reservation_lead_came_first"
            ),
            models.UniqueConstraint(
                fields=["buyer", "idempotency_key"], name="reservation_unique_idempotency_key"
            ),
            models.UniqueConstraint(
                fields=["buyer", "ticket_type"],
                condition=Q(state__in=[*LIVE_STATES]),
                name="reservation_one_live_per_buyer_and_type",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[*LIVE_STATES], ended_at=None, validated_at=None)
                | Q(state=ReservationState.VALIDATED, validated_at__isnull=False, ended_at=None)
                | Q(state__in=[*ENDED_STATES], ended_at__isnull=False),
                name="reservation_state_agrees_with_its_times",
            ),
        ]
        indexes = [
            models.Index(fields=["buyer", "-id"], name="reservation_by_buyer"),
            models.Index(
                fields=["buyer", "ticket_type"],
                condition=Q(state=ReservationState.VALIDATED),
                include=["quantity"],
                name="reservation_validated",
            ),
            models.Index(
                fields=["ticket_type", "expires_at"],
                condition=Q(state=ReservationState.HELD),
                name="reservation_held_of_type",
            ),
            models.Index(
                fields=["expires_at"], condition=Q(state=ReservationState.HELD), name="reservation_held_due"
            ),
            models.Index(
                fields=["paying_since"], condition=Q(state=ReservationState.PAYING), name="reservation_paying"
            ),
            models.Index(
                fields=["person_key", "ticket_type"],
                condition=Q(state__in=[ReservationState.PAYING, ReservationState.VALIDATED]),
                name="reservation_of_person",
            ),
            models.Index(fields=["lead"], condition=Q(lead__isnull=False), name="reservation_of_order"),
            models.Index(
                fields=["voucher", "state"], condition=~Q(voucher=None), name="reservation_of_voucher"
            ),
            # For the monitor's feed. No claim writes into these two indexes.
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="reservation_by_end"),
            models.Index(
                fields=["validated_at"],
                condition=Q(validated_at__isnull=False),
                name="reservation_by_validation",
            ),
        ]

    def __str__(self) -> str:
        return f"reservation {self.pk} ({self.state})"

    @property
    def order_id(self) -> int:
        """Return the id of the order: the id of its first reservation, even if that reservation has ended."""
        return self.lead_id or self.pk

    @property
    def total_minor(self) -> int:
        """Return the price of all its tickets, in minor units of its currency."""
        return self.unit_price_minor * self.quantity
