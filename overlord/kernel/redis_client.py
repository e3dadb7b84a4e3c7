"""Our own connection to Redis: quick to give up, since what lies there can always be made again."""

from functools import lru_cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from overlord.redis_address import RedisAddress

SECONDS = 0.3  # a sale never waits longer than this for Redis


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """Return the process's client, a pool of connections that threads share.

    Its calls raise `redis.RedisError`, after at most `SECONDS` for a connection and as long for an answer.
    """
    return _client(settings.REDIS_URL)


def broker() -> redis.Redis:
    """Return the same for the server that has the messages to workers, which is usually the same server."""
    if settings.REDIS_BROKER_URL == settings.REDIS_URL:
        return connection()
    return _broker()


@lru_cache(maxsize=1)
def _broker() -> redis.Redis:
    return _client(settings.REDIS_BROKER_URL)


def _client(url: str) -> redis.Redis:
    return RedisAddress(url).client(
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        # A kept connection that Redis has closed is replaced at once; a time-out is not waited for twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=True,
    )
