"""The table of mails about a new date or place of an event. `tickets.models` imports it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from tickets.event_rules import ADDRESS_LENGTH, VENUE_LENGTH


class MoveNotice(models.Model):
    """The mail that tells a buyer of a new date or place. Its row is written with the edit; checkout sends it.

    If staff edit the event several times before checkout first attempts to send the mail, the buyer gets only one.
    It contains the date and place that the buyer knows, and those at the time of the attempt. An edit after the
    first attempt causes another mail, because the buyer may have read the first one.
    """

    event = models.ForeignKey("tickets.Event", on_delete=models.CASCADE, related_name="+")
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    date_before = models.DateTimeField()
    time_zone_before = models.CharField(max_length=64)
    venue_before = models.CharField(max_length=VENUE_LENGTH, null=True, help_text="Empty: not known.")
    address_before = models.CharField(max_length=ADDRESS_LENGTH, null=True, help_text="Empty: not known.")
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["event", "buyer"],
                condition=Q(next_look_at__isnull=False, attempts=0),
                name="move_notice_waits_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="move_notice_to_send"
            ),
        ]

    def __str__(self) -> str:
        return f"notice to buyer {self.buyer_id} that event {self.event_id} was moved"
