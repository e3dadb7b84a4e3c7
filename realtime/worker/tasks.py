"""Tasks of the broadcasts worker (Celery). Each makes one call."""

from typing import Any

from celery import shared_task

from realtime.worker.flush import flush_in_turn


@shared_task(name="realtime.flush", ignore_result=True)
def flush(**_kwargs: Any) -> None:
    """Send the state of the streams that changed. Beat runs it each second, a change enqueues it at once."""
    flush_in_turn()
