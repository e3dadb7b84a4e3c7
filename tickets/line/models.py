"""The tables of lines: the line of an event, its entries, its draw, actions of staff, and mails about turns.

A change of an entry is one statement that checks the entry's state. A transaction that gives numbers or places
locks the line's row.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When

from tickets.line import rules
from tickets.line.rules import Action, EntryState, Phase


class Line(models.Model):
    """The line of an event that opens by a draw, from the opening of its lobby on."""

    event = models.OneToOneField(
        "tickets.Event", primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    phase = models.CharField(max_length=10, default=Phase.LOBBY.value)
    seed = models.CharField(max_length=64, editable=False, help_text="Secret until the draw.")
    commitment = models.CharField(max_length=64, editable=False, help_text="The SHA-256 of the seed.")
    digest = models.CharField(
        max_length=64, null=True, editable=False, help_text="The SHA-256 of the closed list."
    )
    drawn = models.IntegerField(null=True, editable=False, help_text="How many places were drawn.")
    drawn_at = models.DateTimeField(null=True, editable=False)
    entered = models.IntegerField(default=0, editable=False, help_text="The last number that was given.")
    served = models.IntegerField(default=0, editable=False, help_text="The last place whose turn has come.")
    per_minute = models.IntegerField(
        default=0, editable=False, help_text="The pace that people read. 0 while it is not known."
    )
    moved_at = models.DateTimeField(
        null=True, editable=False, help_text="Turns have used the line's time up to this instant."
    )
    measured_places = models.FloatField(default=0, db_default=0, editable=False)
    measured_seconds = models.FloatField(default=0, db_default=0, editable=False)
    is_standing = models.BooleanField(default=False, editable=False, help_text="Nothing is left for now.")
    is_held = models.BooleanField(default=False, help_text="Staff have paused the line.")
    most_per_minute = models.IntegerField(null=True, help_text="Null: as fast as possible.")
    message = models.CharField(max_length=rules.LONGEST_MESSAGE, default="", help_text="To all who wait.")
    public_name = models.CharField(
        max_length=rules.LONGEST_VALUE,
        default="",
        help_text="The name of the value that the draw mixes in, if there is one.",
    )
    public_value = models.CharField(max_length=rules.LONGEST_VALUE, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    commitment=Func(
                        Func(Func(F("seed"), Value("UTF8"), function="convert_to"), function="sha256"),
                        Value("hex"),
                        function="encode",
                        output_field=models.TextField(),
                    )
                ),
                name="line_commitment_is_of_the_seed",
            ),
            models.CheckConstraint(
                condition=Q(phase=Phase.LOBBY, digest=None, drawn=None, drawn_at=None, served=0)
                | Q(phase=Phase.LOBBY, digest__isnull=False, drawn__isnull=False, drawn_at=None, served=0)
                | Q(
                    phase__in=[Phase.SERVING, Phase.OPEN],
                    digest__isnull=False,
                    drawn__isnull=False,
                    drawn_at__isnull=False,
                ),
                name="line_phase_agrees_with_the_draw",
            ),
            models.CheckConstraint(condition=Q(served__lte=F("entered")), name="line_served_were_entered"),
            models.CheckConstraint(
                condition=Q(most_per_minute=None) | Q(most_per_minute__gte=1), name="line_moves_if_it_is_slow"
            ),
            models.CheckConstraint(
                condition=Q(public_value=None) | (~Q(public_name="") & Q(digest__isnull=False)),
                name="line_value_was_named_and_is_of_after_the_list",
            ),
        ]

    def __str__(self) -> str:
        return f"line of event {self.pk} ({self.phase})"


class PublicValue(models.Model):
    """The name of the public value that a draw will mix in, such as the numbers of a lottery.

    It is set before the lobby opens.
    """

    event = models.OneToOneField(
        "tickets.Event", primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    name = models.CharField(max_length=rules.LONGEST_VALUE)

    def __str__(self) -> str:
        return self.name


class StaffAction(models.Model):
    """An action of staff on a line. Its row never changes."""

    event = models.ForeignKey("tickets.Event", on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    action = models.CharField(max_length=12)
    text = models.CharField(max_length=rules.LONGEST_MESSAGE, default="")

    class Meta:
        permissions = [
            ("control_line", "Can pause lines, set their pace, open their sales, and write to those who wait")
        ]
        constraints = [
            models.CheckConstraint(condition=Q(action__in=[*Action]), name="staff_action_is_known")
        ]

    def __str__(self) -> str:
        return self.action


class Entry(models.Model):
    """A person in a line. Its row stays after the person has left, because the proof of the draw needs all rows.

    The draw updates all entries of a line. To make that quick, no index contains the place, and the table's pages
    are less than half full before the draw (the table's `fillfactor`, set by a migration). So PostgreSQL writes the
    new version of a row on the same page as the earlier one, and writes no index (a HOT update). `DrawnPart` has
    the order of the places.
    """

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="+", db_index=False)
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    number = models.IntegerField()
    place = models.IntegerField(null=True, help_text="Null before the draw.")
    state = models.CharField(max_length=10, default=EntryState.WAITING.value)
    choices = models.JSONField(
        help_text="The wish, and the second choice if there is one: lists of [type, quantity]."
    )
    entered_at = models.DateTimeField()
    turn_at = models.DateTimeField(
        null=True, help_text="When the turn first came, even if there were no tickets to give."
    )
    order = models.ForeignKey(
        "tickets.Reservation", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    look_by = models.DateTimeField(
        null=True, help_text="When a given hold goes to the next entry, unless its owner looks first."
    )
    looked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            # The draw gives each number a place. After the draw, the place of a new entry is its number.
            models.UniqueConstraint(fields=["line", "number"], name="entry_one_per_number"),
            # A buyer waits only once in a line. The second part is null for an entry that does not wait, and nulls
            # count as different. The constraint is also the index by buyer.
            models.UniqueConstraint(
                F("buyer"),
                Case(When(state=EntryState.WAITING, then=F("line"))),
                name="entry_waits_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=EntryState.GIVEN) | Q(order__isnull=False, look_by__isnull=False),
                name="entry_given_has_an_order",
            ),
        ]
        indexes = [
            models.Index(
                fields=["line"],
                condition=Q(state=EntryState.WAITING, turn_at__isnull=False),
                name="entry_had_a_turn",
            ),
            models.Index(
                fields=["look_by"],
                condition=Q(state=EntryState.GIVEN, looked_at=None),
                name="entry_not_looked_at",
            ),
        ]

    def __str__(self) -> str:
        return f"number {self.number} ({self.state})"


class DrawnPart(models.Model):
    """Some entries of a drawn line, in the order of their places.

    The worker that gives tickets writes all parts of a line before it serves the line for the first time. A row
    never changes. Entries that were made after the list was closed are in no part: their places are their numbers.
    """

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="+", db_index=False)
    last_place = models.IntegerField()
    entries = ArrayField(models.BigIntegerField(), help_text="The ids of the entries.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "last_place"], name="drawn_part_one_per_place"),
        ]

    def __str__(self) -> str:
        return f"places up to {self.last_place} of line {self.line_id}"


class TurnNotice(models.Model):
    """The mail about a turn. The row is written in the transaction that gives the hold; a worker sends the mail."""

    entry = models.OneToOneField(Entry, primary_key=True, on_delete=models.CASCADE, related_name="+")
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="turn_notice_to_send"
            ),
        ]

    def __str__(self) -> str:
        return f"notice of entry {self.entry_id}"
