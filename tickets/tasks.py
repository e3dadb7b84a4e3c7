"""Work that Celery does for selling. Runs in the threads of the upkeep worker."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from overlord.kernel import clock
from tickets import event_services, pruning, services

RUN_SECONDS = 10.0  # of one sweep; beat enqueues one every 5 seconds, so that the next one already waits
TICK_SECONDS = 0.25

_stopping = threading.Event()


@worker_shutting_down.connect
def _stop(**_kwargs: object) -> None:
    """End a sweep at once when its worker is told to stop."""
    _stopping.set()


def _ticks() -> Iterator[datetime]:
    """Yield the present instant four times a second, until the run is over or the worker stops."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        yield clock.now()
        if _stopping.wait(TICK_SECONDS):
            return


@shared_task(name="tickets.holds_expire")
def holds_expire(**_kwargs: object) -> None:
    """Expire due holds and process what else time changes, four times a second for ten seconds."""
    services.sweep(instants=_ticks())


@shared_task(name="tickets.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete old holds that were never paid, and pictures that no event shows."""
    return {**pruning.rows_prune(before=clock.now() - settings.RETENTION), **event_services.pictures_prune()}
