"""The entries of the journal: who did what, when.

The trigger in `sql/entry_stays.sql` allows only two changes of a row. Its facts may be erased: this happens when
the person whom they are about is erased. And `journal_prune` may delete the row, after JOURNAL_RETENTION_DAYS.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q


class JournalEntry(models.Model):
    """One action of staff, or of a command on the server."""

    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty: a command on the server.",
    )
    action = models.CharField(max_length=40, help_text="One of `actions.Action`.")
    # These are ids without foreign keys: an entry stays when its event or order is deleted.
    event_number = models.BigIntegerField(null=True)
    order_number = models.BigIntegerField(null=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="To whom it was done.",
    )
    facts = models.JSONField(default=dict, help_text="What its sentence names.")
    request_id = models.CharField(max_length=64, help_text="As in the logs; empty for a command.")

    class Meta:
        verbose_name_plural = "journal entries"
        permissions = [("view_journal", "Can see who did what")]
        indexes = [
            models.Index(fields=["at", "id"], name="journal_by_time"),
            models.Index(fields=["action", "at", "id"], name="journal_of_action"),
            models.Index(
                fields=["event_number"], condition=Q(event_number__isnull=False), name="journal_of_event"
            ),
            models.Index(
                fields=["order_number"], condition=Q(order_number__isnull=False), name="journal_of_order"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(action__regex="^[a-z][a-z_]*$"), name="journal_action_named"),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.at}"
