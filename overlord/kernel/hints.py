"""Messages to workers. Each is a hint that carries ids and may be lost: beat finds what nobody was told of."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError
from redis import RedisError

logger = logging.getLogger(__name__)


def hint(task: str, *, queue: str, expires: float | None = None, **ids: int) -> None:
    """Will ask a worker of `queue` to run `task` soon, or never if it waits longer than `expires` seconds.

    It never raises: what was committed stands, whether or not Redis could be told.
    """
    try:
        current_app.send_task(task, kwargs=ids, queue=queue, expires=expires, retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("%s was not sent and is left to beat: %s", task, error)
