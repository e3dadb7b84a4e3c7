"""What stats keeps: the last reading of the counters, and how much they rose in each minute."""

from django.db import models


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
    system = models.JSONField(default=dict, help_text="Viewers and queues, as `system.look` returns them.")

    class Meta:
        permissions = [("view_stats", "Can see the figures"), ("view_monitor", "Can see the monitor")]

    def __str__(self) -> str:
        return f"reading of {self.at}"


class Minute(models.Model):
    """What happened in one minute: reservations made, paid and expired, and failed tries to pay."""

    minute = models.DateTimeField(primary_key=True)
    reserved = models.IntegerField(default=0)
    paid = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.minute:%H:%M}: {self.reserved} reserved, {self.paid} paid"
