"""Celery's way in."""

from typing import Any

from celery import shared_task

from realtime import drain as live


@shared_task(name="realtime.drain", queue="live", ignore_result=True)
def drain(**_kwargs: Any) -> None:
    """Will send the state of the streams that changed. Beat runs it each second, a change at once."""
    live.drain_in_turn()
