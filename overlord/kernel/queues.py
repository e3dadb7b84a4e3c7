"""The queues of the Celery workers, and how to put a task on one.

A message carries ids only and may be lost: beat finds unfinished work again in PostgreSQL.
"""

import logging
from enum import StrEnum
from functools import lru_cache
from typing import cast

# Celery loads these at the first message otherwise, which would stop Daphne's sockets for a moment.
import celery.app.amqp
import celery.app.events
import celery.result  # noqa: F401
import kombu.transport.redis  # noqa: F401
from celery import current_app
from kombu import pools
from kombu.exceptions import KombuError
from redis import RedisError

from overlord.kernel import redis_client

logger = logging.getLogger(__name__)


class Queue(StrEnum):
    """The queues, each worked on by one kind of worker."""

    PAYMENTS = "payments"
    LIVE = "live"
    EXPIRY = "expiry"
    UPKEEP = "upkeep"
    MAIL = "mail"


def enqueue(task: str, *, queue: str, expires: float | None = None, **ids: int) -> bool:
    """Put a task on a queue; a worker drops it when it waited longer than `expires` seconds.

    Never raise, and wait no longer than our own connection to Redis does: what was committed stands whether or
    not Redis can be reached. Return False when the message could not be sent.
    """
    try:
        with _producers().acquire(block=True, timeout=redis_client.SECONDS) as producer:
            current_app.send_task(
                task,
                kwargs=ids,
                queue=queue,
                expires=expires,
                producer=producer,
                retry=False,
                ignore_result=True,
            )
    except (KombuError, RedisError, OSError) as error:
        logger.warning("%s was not sent and is left to beat: %s", task, error)
        return False
    return True


def queue_length(queue: Queue) -> int:
    """Return how many messages wait on a queue; 0 when Redis cannot be reached, which has none for anybody then."""
    try:
        return int(redis_client.connection().llen(queue))
    except RedisError:
        return 0


@lru_cache(maxsize=1)
def _producers() -> pools.ProducerPool:
    """Return producers that give up quickly: Celery's own try for seconds while a buyer waits."""
    patience = {
        "max_retries": 0,
        "socket_timeout": redis_client.SECONDS,
        "socket_connect_timeout": redis_client.SECONDS,
    }
    connection = current_app.connection_for_write(transport_options=patience)
    return cast("pools.ProducerPool", pools.producers[connection])
