"""Rate limits: how often somebody may do something within some seconds.

This runs in the threads of the web processes. The counters are in Redis, so that all processes share them. One
script in Redis checks and counts, so that parallel requests do not exceed a limit. While Redis is away, each
process counts for itself: then each process allows as much as the limit says.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from threading import Lock

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import RedisError

from overlord.kernel import redis_client
from overlord.kernel.errors import TooMany

logger = logging.getLogger(__name__)

PREFIX = "limits"
RETRY_SECONDS = 1.0  # between two attempts to reach Redis


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `amount` uses in any period of `seconds`. The name is part of the counter's key."""

    name: str
    amount: int
    seconds: int

    @property
    def item(self) -> RateLimitItemPerSecond:
        """Return the limit as an object of the library `limits`."""
        return RateLimitItemPerSecond(self.amount, self.seconds, namespace=self.name)


def count(limit: Limit, by: object) -> None:
    """Count one use by an address or an account (`by`). If the limit is reached, raise TooMany and do not count."""
    _ask(_count, limit, by)


@contextmanager
def counted_if(failure: type[Exception], uses: Sequence[tuple[Limit, object]]) -> Iterator[None]:
    """Count uses of limits, which stay counted only if the block raises `failure`.

    Raise TooMany if a limit is reached already. `uses` has pairs of a limit and by whom it is used. The uses are
    counted before the block runs, and taken back afterwards. Otherwise many parallel requests would pass a limit
    that none of them has reached yet.
    """
    counted: list[tuple[Limit, object]] = []
    try:
        for limit, by in uses:
            count(limit, by)
            counted.append((limit, by))
        yield
    except failure:
        counted.clear()
        raise
    finally:
        for limit, by in counted:
            _ask(_take_back, limit, by)


def _ask(question: Callable[[MovingWindowRateLimiter, Limit, str], None], limit: Limit, by: object) -> None:
    """Ask the counters in Redis, or those of this process while Redis is away. Do nothing if limits are off."""
    if not settings.RATE_LIMITS:
        return
    who = _who(by)
    if not _redis.is_away():
        try:
            question(_in_redis(), limit, who)
        except RedisError as error:
            logger.warning("Limits are counted in each process until Redis is back: %s", error)
            _redis.failed()
        else:
            return
    with _own_lock:
        question(_own(), limit, who)


def _count(limiter: MovingWindowRateLimiter, limit: Limit, who: str) -> None:
    if not limiter.hit(limit.item, who):
        raise _too_many(limiter, limit, who)


def _take_back(limiter: MovingWindowRateLimiter, limit: Limit, who: str) -> None:
    """Remove the newest use. It may be the use of another request, made only a moment later."""
    storage, key = limiter.storage, limit.item.key_for(who)
    if isinstance(storage, RedisStorage):
        redis_client.connection().lpop(storage.prefixed_key(key))
    elif isinstance(storage, MemoryStorage):
        del storage.events.get(key, [])[:1]


def _too_many(limiter: MovingWindowRateLimiter, limit: Limit, who: str) -> TooMany:
    reset = limiter.get_window_stats(limit.item, who).reset_time
    return TooMany(retry_after=min(max(1, ceil(reset - time.time())), limit.seconds))


def forget() -> None:
    """Forget what this process has counted while Redis was away (for tests)."""
    _own.cache_clear()
    _redis.away_until = 0.0


def _who(by: object) -> str:
    """Return a short key that does not show whom it counts: `by` can be an e-mail address, of any length."""
    return hashlib.blake2b(str(by).encode(), digest_size=16).hexdigest()


class _Redis:
    """Whether Redis answered lately. After it failed, requests do not wait for it for RETRY_SECONDS."""

    def __init__(self) -> None:
        self.away_until = 0.0

    def failed(self) -> None:
        self.away_until = time.monotonic() + RETRY_SECONDS

    def is_away(self) -> bool:
        return time.monotonic() < self.away_until


_redis = _Redis()
_own_lock = Lock()  # the library's counters in memory are exact only if one thread at a time uses them


@lru_cache(maxsize=1)
def _in_redis() -> MovingWindowRateLimiter:
    pool = redis_client.connection().connection_pool
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=PREFIX))


@lru_cache(maxsize=1)
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())
