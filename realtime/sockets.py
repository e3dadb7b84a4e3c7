"""The records of sockets in Redis: each hub writes one about its sockets, and every process may read all records.

Runs in any process and thread. A record ends KEPT_SECONDS after the hub last wrote it.
"""

from typing import cast

from overlord.kernel import redis_client

KEPT_SECONDS = 5
SUBSCRIBERS = "live:subscribers:"  # followed by a hub's name: how many sockets it has
ROOM = "live:room:"  # followed by a hub's name: 1 while its process can take another socket, else 0


def opened() -> int | None:
    """Return how many sockets all hubs have together, or None when there is no record. Raise RedisError."""
    counts = _records(SUBSCRIBERS)
    return sum(int(count) for count in counts) if counts else None


def have_room() -> bool:
    """Return False if there are records, and each of them says that its process can take no more sockets.

    Raise RedisError.
    """
    return set(_records(ROOM)) != {"0"}


def _records(prefix: str) -> list[str]:
    """Return the values of all keys with this prefix; raise RedisError."""
    redis = redis_client.connection()
    keys = list(redis.scan_iter(f"{prefix}*", count=1000))
    values = cast("list[str | None]", redis.mget(keys)) if keys else []
    return [value for value in values if value is not None]
