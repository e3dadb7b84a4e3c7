"""Work that Celery does for lines. Runs in the threads of the upkeep and mail workers."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from overlord.kernel import clock, db
from tickets.line import mails, pruning, services

RUN_SECONDS = 10.0  # beat enqueues one every 5 seconds, so that the next one already waits
TICK_SECONDS = 0.5

_stopping = threading.Event()


@worker_shutting_down.connect
def _stop(**_kwargs: object) -> None:
    """End a run at once when its worker is told to stop."""
    _stopping.set()


def _ticks() -> Iterator[datetime]:
    """Yield the present instant by PostgreSQL's clock twice a second, until the run is over or the worker stops."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        yield db.now()
        if _stopping.wait(TICK_SECONDS):
            return


@shared_task(name="line.serve")
def serve(**_kwargs: object) -> None:
    """Open lobbies, draw, and give to those in line, twice a second for ten seconds."""
    services.serve_all(instants=_ticks(), hold=timedelta(seconds=settings.HOLD_SECONDS))


@shared_task(name="line.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete the lines of past events."""
    return pruning.rows_prune(before=clock.now() - settings.RETENTION)


@shared_task(name="line.turn_notices_send")
def turn_notices_send(**_kwargs: object) -> None:
    """Send the mails of turns that are due."""
    mails.turn_notices_send()
