"""Runs: tasks that check several times a second whether something is due. They run in the threads of a worker.

Beat enqueues a run every 5 seconds, and each run takes longer. So when a run ends, another one is there already.
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
    """End all runs of this worker, because it was told to stop."""
    _stopping.set()


def instants(now: Callable[[], datetime], *, every: float) -> Iterator[datetime]:
    """Yield `now()` again and again, with pauses of `every` seconds, for RUN_SECONDS or until the worker stops."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        yield now()
        if _stopping.wait(every):
            return
