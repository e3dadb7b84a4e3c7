"""What domain apps tell the live side: this changed. Nothing here raises or makes a sale wait."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from channels.layers import get_channel_layer
from redis import RedisError

from overlord.kernel import redis_client
from overlord.kernel.queues import Queue, enqueue
from overlord.kernel.rendering import dumps
from realtime import lasting_loop, store

logger = logging.getLogger(__name__)

NOTICES = "notices"  # the group of all hubs
NOTIFY_SECONDS = 1.0
FLUSH_EXPIRES = 10  # seconds; beat sends another each second


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A versioned value in a Redis hash, kept 15 minutes for those who read right after a change."""

    key: str
    field: str
    version: int
    value: Any


def announce(*, streams: Iterable[str], entries: Iterable[Entry] = ()) -> None:
    """Will tell, after a commit, that these streams changed, and keep the entries unless newer ones are kept.

    Redis is asked once; if that fails it is let alone for a second, and healing finds the change.
    """
    names = list(streams)
    arguments = [store.KEPT_SECONDS, store.QUEUED_SECONDS, len(names), *names, *_flat(entries)]
    keys = [store.DIRTY, store.MARKS, store.QUEUED]
    if store.guarded(lambda: store.run(store.MARK, keys=keys, args=arguments)):
        flush_enqueue()


def notify(*, notices: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Will send advice, each to the sockets of the stream named beside it. One message carries them all.

    It changes no state, so what is lost is only advice; that Redis is away is logged.
    """
    message = {"type": "notices", "notices": [[stream, dict(notice)] for stream, notice in notices]}
    try:
        lasting_loop.run(get_channel_layer().group_send(NOTICES, message), seconds=NOTIFY_SECONDS)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("%s notices could not be sent: %s", len(notices), error)


def entries_write(*, entries: Iterable[Entry]) -> None:
    """Will keep the entries that are not older than what is kept, and mark nothing."""
    arguments = [store.KEPT_SECONDS, *_flat(entries)]
    if len(arguments) > 1:
        store.guarded(lambda: store.run(store.WRITE_ENTRIES, keys=[], args=arguments))


def entries_read(*, key: str) -> dict[str, Any] | None:
    """Will give the kept values by field: {} when nothing is kept, None when Redis is away."""
    kept = store.guarded(lambda: cast("dict[str, str]", redis_client.connection().hgetall(key)))
    if kept is None:
        return None
    return {field: orjson.loads(text.partition(" ")[2]) for field, text in kept.items()}


def flush_enqueue() -> None:
    """Enqueue a flush. A failure is only logged: beat enqueues one each second anyway."""
    if not enqueue("realtime.flush", queue=Queue.LIVE, expires=FLUSH_EXPIRES):
        store.breaker.failed()


def _flat(entries: Iterable[Entry]) -> Iterator[str | int]:
    for entry in entries:
        yield from (entry.key, entry.field, entry.version, dumps(entry.value).decode())
