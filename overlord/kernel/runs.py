"""Runs of tasks that look several times a second whether something is due. In the threads of a worker.

Beat enqueues a run every 5 seconds, so when one ends, the next one already waits.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from celery.signals import worker_shutting_down

RUN_SECONDS = 10.0

_stopping = threading.Event()


@worker_shutting_down.connect
def _stop(**_kwargs: object) -> None:
    """End each run at once when its worker is told to stop."""
    _stopping.set()


def instants(now: Callable[[], datetime], *, every: float) -> Iterator[datetime]:
    """Yield the present instant by a clock, with a pause of `every` seconds, until the run or the worker ends."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        yield now()
        if _stopping.wait(every):
            return
