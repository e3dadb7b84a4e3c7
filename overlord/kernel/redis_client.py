"""Our own connection to Redis: quick to give up, since what lies there can always be made again."""

from functools import lru_cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS = 0.3  # a sale never waits longer than this for Redis


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """Return the process's client, a pool of connections that threads share.

    Its calls raise `redis.RedisError`, after at most `SECONDS` for a connection and as long for an answer.
    """
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        # A kept connection that Redis has closed is replaced at once; a time-out is not waited for twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=True,
    )
