"""Work that Celery does for selling, in the threads of the upkeep worker."""

from celery import shared_task
from django.conf import settings

from overlord.kernel import clock, runs
from tickets import event_services, pruning, services

TICK_SECONDS = 0.25


@shared_task(name="tickets.holds_expire")
def holds_expire(**_kwargs: object) -> None:
    """Expire due holds, and do what else has become due, four times a second for ten seconds."""
    services.sweep(instants=runs.instants(clock.now, every=TICK_SECONDS))


@shared_task(name="tickets.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete old holds that were never paid, unneeded mails about moves, and pictures that no event shows."""
    return {**pruning.rows_prune(before=clock.now() - settings.RETENTION), **event_services.pictures_prune()}
