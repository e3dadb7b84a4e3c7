"""Work that Celery does for selling."""

import threading

from celery import shared_task
from celery.signals import worker_shutting_down

from overlord.kernel.queues import Queue
from tickets import services

RUN = 10.0  # seconds a run sweeps; beat starts one every 5, so that the next waits beside it
TICK = 0.25

_stopping = threading.Event()


@worker_shutting_down.connect
def _stop(**_kwargs: object) -> None:
    """Will end a sweep at once when its worker is asked to stop, so that a stop takes no ten seconds."""
    _stopping.set()


@shared_task(name="tickets.holds_expire", queue=Queue.EXPIRY)
def holds_expire(**_kwargs: object) -> None:
    """Will end due holds for ten seconds, four times a second."""
    services.sweep_for(seconds=RUN, pause=lambda: _stopping.wait(TICK))
