"""The tables of stats: the last reading of the counters, how much they rose in each minute, the ranks of events."""

from django.db import models
from django.db.models import F

from tickets.models import Event


class Reading(models.Model):
    """The one row of the last reading: the counters summed over all ticket types, and the state of the system.

    The difference to the next reading is what happened in between.
    """

    ONLY = 1

    at = models.DateTimeField(null=True)
    reserved = models.BigIntegerField(default=0)
    paid = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    recent = models.JSONField(
        null=True, help_text="The readings of the last minute: lists of an instant, reserved and paid."
    )
    ranked_to = models.BigIntegerField(
        default=0, db_default=0, help_text="The id of the last event whose rank was compared."
    )
    system = models.JSONField(default=dict, help_text="Viewers and queues, as `system.state` returns them.")

    class Meta:
        permissions = [("view_stats", "Can see the figures"), ("view_monitor", "Can see the monitor")]

    def __str__(self) -> str:
        return f"reading of {self.at}"


class Minute(models.Model):
    """The figures of one minute: reservations made, paid and expired, and failed tries to pay."""

    minute = models.DateTimeField(primary_key=True)
    reserved = models.IntegerField(default=0)
    paid = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.minute:%H:%M}: {self.reserved} reserved, {self.paid} paid"


class EventRank(models.Model):
    """The figures by which an event is ranked, as they were when a sample last read them.

    The indexes of this table find the five highest events. The counters of inventories have no such indexes,
    because every claim would have to write them.
    """

    # Only the database has the foreign key, and it deletes this row together with its event. If Django knew of it,
    # it would search for such rows before it deletes an event.
    event = models.OneToOneField(
        Event, on_delete=models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="+"
    )
    date = models.DateTimeField(
        help_text="The date of the event. Events with equal figures are ranked by it."
    )
    reservations = models.BigIntegerField()
    sold = models.BigIntegerField()
    profit = models.DecimalField(
        max_digits=40,
        decimal_places=0,
        help_text="Revenue times a factor of its currency, so that the numbers can be compared.",
    )

    class Meta:
        indexes = [
            models.Index(F("reservations").desc(), "date", "event", name="event_rank_popular"),
            models.Index(F("sold").desc(), "date", "event", name="event_rank_selling"),
            models.Index(F("profit").desc(), "date", "event", name="event_rank_profit"),
        ]

    def __str__(self) -> str:
        return f"rank of event {self.event_id}"
