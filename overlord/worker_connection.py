"""Let a worker connect to Redis again after Redis was away: the worker tries this each second.

Celery has no setting for this. Its own consumer waits two seconds longer at each try, up to half a minute. During
this time no screen would be updated and no hold would expire.
"""

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

RETRY_SECONDS = 1.0  # between two rounds; a round tries all addresses


class PromptConsumer(Consumer):
    """Celery's consumer of messages, with a short and equal time between two tries to connect."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, and return the connection."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RETRY_SECONDS,
            interval_step=0.0,
            interval_max=RETRY_SECONDS,
        )
        return super().ensure_connected(conn)
