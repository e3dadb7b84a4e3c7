"""The functions that every process may call: mark streams, send advice, and keep versioned values in Redis.

Runs in the thread that calls it: in web processes, workers and commands after their commit, and for the hub in a
pool thread of Daphne.

What must stay true: when Redis is away, nothing here raises an error, and each call waits only briefly:
`messages_send` for its `seconds`, `advice_send` for ADVICE_SECONDS, and all others as long as `redis_client` waits.
A mark may be lost; healing then finds the change in PostgreSQL.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from typing import Any, cast

import orjson
from channels.layers import get_channel_layer
from redis import RedisError

from overlord.kernel import redis_client
from overlord.kernel.queues import enqueue
from overlord.kernel.rendering import dumps
from realtime import store

logger = logging.getLogger(__name__)

ADVICE = "advice"  # the channel-layer group of all hubs, and the type of the messages that this group gets
ADVICE_SECONDS = 1.0  # the longest that sending advice may take
FLUSH_EXPIRES = 10  # seconds; beat enqueues another flush each second

Advice = tuple[str, Mapping[str, Any]]  # a stream, and the `data` of the advice for its subscribers


@dataclass(frozen=True, kw_only=True)
class VersionedValue:
    """A value in a Redis hash. Newer versions replace older ones. The hash ends 15 minutes after its last write."""

    key: str
    field: str
    version: int
    value: Any


def streams_mark(
    *, streams: Iterable[str], values: Iterable[VersionedValue] = (), is_urgent: bool = True
) -> None:
    """Mark streams as changed, and keep the values unless newer ones are kept. Call it after the commit.

    An urgent mark enqueues a flush, unless one waits already; any other mark waits for the flush that beat enqueues
    each second. All marks and values go to Redis in one call. If it fails, this process sends no others for a
    second, and healing finds the change.
    """
    names = list(streams)
    queued_seconds = store.QUEUED_SECONDS if is_urgent else 0
    arguments = [store.KEPT_SECONDS, queued_seconds, len(names), *names, *_flat(values)]
    keys = [store.MARKED, store.MARK_NUMBER, store.FLUSH_QUEUED]
    if store.guarded(lambda: store.run(store.MARK, keys=keys, args=arguments)):
        flush_enqueue()


def advice_send(*, advice: Sequence[Advice]) -> None:
    """Send each advice to the subscribers of its stream, in one message to all hubs.

    Advice changes no state, so a loss is harmless and only logged.
    """
    pairs = [[stream, dict(data)] for stream, data in advice]
    messages_send(messages=[(ADVICE, {"type": ADVICE, ADVICE: pairs})], seconds=ADVICE_SECONDS)


def values_keep(*, values: Iterable[VersionedValue]) -> None:
    """Keep each value, unless a newer one is kept. Mark no stream."""
    arguments = [store.KEPT_SECONDS, *_flat(values)]
    if len(arguments) > 1:
        store.guarded(lambda: store.run(store.KEEP_VALUES, keys=[], args=arguments))


def values_read(*, key: str) -> dict[str, Any] | None:
    """Return the values of a key by their field: {} when nothing is kept, None when Redis is away."""
    kept = store.guarded(
        lambda: cast("dict[str, str]", redis_client.connection().hgetall(store.value_key(key)))
    )
    if kept is None:
        return None
    return {field: orjson.loads(text.partition(" ")[2]) for field, text in kept.items()}


def values_delete(*, key: str) -> None:
    """Delete all values of a key, because the row that they describe no longer exists."""
    store.guarded(lambda: redis_client.connection().delete(store.value_key(key)))


def flush_enqueue() -> None:
    """Enqueue a flush. A failure is only logged: beat enqueues one each second anyway."""
    enqueue("realtime.flush", expires=FLUSH_EXPIRES)


def messages_send(*, messages: Sequence[tuple[str, Mapping[str, Any]]], seconds: float) -> int:
    """Send pairs of a channel-layer group and a message, in their order; return how many were sent.

    If Redis is away, or takes longer than `seconds` for all of them together, stop and only log this.
    """
    sent = 0

    async def send_all() -> None:
        nonlocal sent
        async with asyncio.timeout(seconds):
            layer = get_channel_layer()
            for group, message in messages:
                await layer.group_send(group, dict(message))
                sent += 1

    try:
        asyncio.run_coroutine_threadsafe(send_all(), _loop()).result()
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("%s of %s live messages were not sent: %s", len(messages) - sent, len(messages), error)
    return sent


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that runs in a thread of this process, and keeps its connection to Redis.

    `async_to_sync` would make a new loop and a new connection at each call.
    """
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="publish", daemon=True).start()
    return loop


def _flat(values: Iterable[VersionedValue]) -> Iterator[str | int]:
    for each in values:
        yield from (store.value_key(each.key), each.field, each.version, dumps(each.value).decode())
