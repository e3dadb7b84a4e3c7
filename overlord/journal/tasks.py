"""The task of the journal. Run by the upkeep worker (Celery)."""

from celery import shared_task
from django.conf import settings

from overlord.journal import services
from overlord.kernel import clock


@shared_task(name="journal.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete entries that are older than JOURNAL_RETENTION_DAYS."""
    return services.rows_prune(before=clock.now() - settings.JOURNAL_RETENTION)
