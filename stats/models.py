"""What stats keeps of its own: the counters as last read, and how much they moved in each minute."""

from django.db import models


class Reading(models.Model):
    """The one row of what was last read: the counters, summed over all ticket types, and how the system is.

    The difference to the next reading is what happened meanwhile, however much that was.
    """

    ONLY = 1

    at = models.DateTimeField(null=True)
    reserved = models.BigIntegerField(default=0)
    paid = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    system = models.JSONField(default=dict, help_text="Viewers and queues; see `system.look`.")

    def __str__(self) -> str:
        return f"read at {self.at}"


class Minute(models.Model):
    """What happened in one minute: reservations made, paid and run out, and tries to pay that failed."""

    minute = models.DateTimeField(primary_key=True)
    reserved = models.IntegerField(default=0)
    paid = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.minute:%H:%M}: {self.reserved} reserved, {self.paid} paid"
