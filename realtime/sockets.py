"""The record of its sockets that each hub keeps in Redis. Every process may read all records.

A record ends a few seconds after its hub.
"""

from typing import cast

from overlord.kernel import redis_client

KEPT_SECONDS = 5
SUBSCRIBERS = "live:subscribers:"  # followed by a hub's name: how many sockets it has
ROOM = "live:room:"  # followed by a hub's name: 1 while its process can take another socket, else 0


def opened() -> int | None:
    """Return how many sockets are open, or None when no hub says so. Raises RedisError."""
    said = _said(SUBSCRIBERS)
    return sum(int(each) for each in said) if said else None


def have_room() -> bool:
    """Return False when each hub says that its process can take no other socket. Raises RedisError."""
    return set(_said(ROOM)) != {"0"}


def _said(prefix: str) -> list[str]:
    redis = redis_client.connection()
    keys = list(redis.scan_iter(f"{prefix}*", count=1000))
    values = cast("list[str | None]", redis.mget(keys)) if keys else []
    return [value for value in values if value is not None]
