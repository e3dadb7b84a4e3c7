"""Work that Celery does for lines, in the threads of the upkeep worker."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from overlord.kernel import clock, db, runs
from tickets.line import mails, pruning, services

TICK_SECONDS = 0.5


@shared_task(name="line.serve")
def serve(**_kwargs: object) -> None:
    """Open lobbies, draw, and give tickets to people in line, twice a second for ten seconds."""
    instants = runs.instants(db.now, every=TICK_SECONDS)
    services.serve_all(instants=instants, hold=timedelta(seconds=settings.HOLD_SECONDS))


@shared_task(name="line.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete the lines of events that began more than RETENTION ago; return how many lines and entries."""
    return pruning.rows_prune(before=clock.now() - settings.RETENTION)


@shared_task(name="line.turn_notices_send")
def turn_notices_send(**_kwargs: object) -> None:
    """Send the mails about turns that are due."""
    mails.turn_notices_send()
