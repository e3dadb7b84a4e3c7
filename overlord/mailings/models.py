"""The models of messages to the buyers of an event. The steps that change them are in `operations`.

A row of `Recipient` is one mail. A worker claims the row before it sends the mail, and records the outcome
afterwards.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from overlord.accounts.models import NameKey
from overlord.kernel.texts import EMAIL_LENGTH, NOT_IN_A_LINE
from overlord.mailings.rules import SUBJECT_LENGTH, Audience, Kind
from tickets.models import Event, TicketType


class Mailing(models.Model):
    """A message that staff sent, and its audience. Only the rows of trials are deleted after some time."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=5, choices=[(each.value, each.value) for each in Kind])
    audience = models.CharField(max_length=12, choices=[(each.value, each.value) for each in Audience])
    ticket_type = models.ForeignKey(
        TicketType, null=True, on_delete=models.SET_NULL, related_name="+", help_text="Empty: all types."
    )
    with_holders = models.BooleanField(help_text="Also to those to whom a ticket was handed.")
    is_trial = models.BooleanField(help_text="To its author only.")
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    text = models.TextField()
    key = models.CharField(max_length=64, unique=True, help_text="Names the form, so that it sends once.")
    created = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, help_text="When nothing was left to send.")
    addressed = models.IntegerField(default=0, help_text="To how many it went.")
    sent = models.IntegerField(default=0, help_text="Counted when it was finished.")

    class Meta:
        permissions = [("send_messages", "Can write to the buyers of an event")]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=[*Kind]), name="mailing_kind_known"),
            models.CheckConstraint(condition=Q(audience__in=[*Audience]), name="mailing_audience_known"),
            models.CheckConstraint(
                condition=~Q(subject__regex=NOT_IN_A_LINE) & ~Q(subject=""),
                name="mailing_subject_on_one_line",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(finished_at=None), name="mailing_not_finished"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk} about event {self.event_id}"


class Recipient(models.Model):
    """One mail of a message. Deleted some time after the message was finished."""

    mailing = models.ForeignKey(Mailing, on_delete=models.CASCADE, related_name="recipients", db_index=False)
    address = models.EmailField(max_length=EMAIL_LENGTH, blank=True, help_text="Empty: erased.")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty: somebody to whom a ticket was handed.",
    )
    language = models.CharField(max_length=10, blank=True)
    attempts = models.IntegerField(default=0, db_default=0)
    next_look_at = models.DateTimeField(null=True, help_text="Empty: nothing is left to do.")
    claimed_at = models.DateTimeField(null=True, help_text="When sending it last began.")
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="", db_default="", help_text="Why it was not sent.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "mailing", NameKey("address"), condition=~Q(address=""), name="recipient_once_in_a_mailing"
            ),
            models.CheckConstraint(
                condition=Q(next_look_at=None) | Q(sent_at=None, failed_at=None), name="recipient_ends_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at", "id"],
                condition=Q(next_look_at__isnull=False),
                name="recipient_to_send",
            ),
            models.Index(
                fields=["claimed_at"], condition=Q(claimed_at__isnull=False), name="recipient_claimed"
            ),
            models.Index(fields=["mailing", "id"], name="recipient_of_mailing"),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} of message {self.mailing_id}"


class Unsubscription(models.Model):
    """The e-mail address of a person who wants no news of this shop. Only its SHA-256 is kept."""

    address_hash = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"unsubscription at {self.at}"
