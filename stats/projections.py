"""The content of the `stats` stream. Nothing marks it: it is read each second while it has subscribers.

The projection runs in a flush (Celery), which passes `now`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from realtime import streams
from stats import monitor


def project_monitor(_ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return all that the monitor shows, under the one id of this stream."""
    return {streams.ALONE: monitor.content(now=now)}
