"""The task of the broadcasts worker (Celery). It makes one call."""

from typing import Any

from celery import shared_task

from realtime.worker.flush import flush_throttled


@shared_task(name="realtime.flush", ignore_result=True)
def flush(**_kwargs: Any) -> None:
    """Send the state of the streams that changed. Beat enqueues it each second, and an urgent change at once."""
    flush_throttled()
