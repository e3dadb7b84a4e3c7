"""Let a worker connect to Redis again after Redis was away: the worker tries this each second.

Celery has no setting for this. Its own consumer waits two seconds longer at each try, up to half a minute. During
this time no screen would be updated and no hold would expire.

Messages that the worker had received and not begun are lost with the connection, as any message may be. Celery's
own consumer would log that it cannot restore them, and write them into a file in /tmp, where they would stay.
"""

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

RETRY_SECONDS = 1.0  # between two rounds; a round tries all addresses


class PromptConsumer(Consumer):
    """Celery's consumer of messages, with a short and equal time between two tries to connect."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close the lost connection, and forget its messages: beat's tasks find their work again."""
        for channel in self.connection.transport.channels:
            channel.do_restore = False
        super().on_connection_error_after_connected(exc)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, and return the connection."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RETRY_SECONDS,
            interval_step=0.0,
            interval_max=RETRY_SECONDS,
        )
        return super().ensure_connected(conn)
