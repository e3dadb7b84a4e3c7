"""Our own connections to Redis. They give up quickly, because all data in Redis can be made again.

Used from every thread of a process.
"""

from functools import lru_cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from overlord.redis_address import RedisAddress

SECONDS = 0.3  # the longest wait for a connection, and the longest wait for an answer
PROBE_KEY = "takes-writes"


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """Return the client of this process: a pool of connections that all threads share.

    Its calls wait at most SECONDS for a connection, and at most SECONDS for an answer; then they raise
    `redis.RedisError`.
    """
    return _client(settings.REDIS_URL)


def broker() -> redis.Redis:
    """Return the client for the Redis server with the queues, usually the same server as that of `connection`."""
    if settings.REDIS_BROKER_URL == settings.REDIS_URL:
        return connection()
    return _broker()


@lru_cache(maxsize=1)
def _broker() -> redis.Redis:
    return _client(settings.REDIS_BROKER_URL)


def writes_require() -> None:
    """Raise `redis.RedisError` unless Redis takes writes. If it is full or a replica, it only answers reads."""
    for client in {connection(), broker()}:
        client.set(PROBE_KEY, "1", ex=1)


def _client(url: str) -> redis.Redis:
    return RedisAddress(url).client(
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        # If Redis has closed a connection, redis-py tries another one at once. After a time-out, it tries none.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=True,
    )
