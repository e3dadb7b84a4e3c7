"""How a worker comes back to a broker that was away: it tries again each second.

Celery has no setting for this. Its own consumer waits two seconds longer each time, up to half a minute.
Meanwhile no screen is updated and no hold expires.
"""

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

RETRY_SECONDS = 1.0  # between two rounds, each of which tries every address


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
