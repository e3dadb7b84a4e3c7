"""Messages to workers. Each is a hint that carries ids and may be lost: beat finds what nobody was told of."""

import logging
from functools import lru_cache
from typing import cast

from celery import current_app
from kombu import pools
from kombu.exceptions import KombuError
from redis import RedisError

from overlord.kernel import redis_client

logger = logging.getLogger(__name__)


def hint(task: str, *, queue: str, expires: float | None = None, **ids: int) -> bool:
    """Will ask a worker of `queue` to run `task` soon, or never if it waits longer than `expires` seconds.

    It never raises, and waits no longer than our own connection to Redis does: what was committed stands,
    whether or not Redis could be told. False when it could not.
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


@lru_cache(maxsize=1)
def _producers() -> pools.ProducerPool:
    """Producers that give up quickly: Celery's own would try for seconds, while a buyer waits."""
    patience = {
        "max_retries": 0,
        "socket_timeout": redis_client.SECONDS,
        "socket_connect_timeout": redis_client.SECONDS,
    }
    connection = current_app.connection_for_write(transport_options=patience)
    return cast("pools.ProducerPool", pools.producers[connection])
