"""The functions that every process may call: mark streams, send advice, and keep versioned values in Redis.

Runs in the thread that calls it: web, workers and commands after their commit, the hub in a pool thread of Daphne.
Nothing here raises when Redis is away, and no call waits for it much longer than `redis_client.SECONDS`. If a mark
is lost here, healing finds the change in PostgreSQL.
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
from overlord.kernel.queues import Queue, enqueue
from overlord.kernel.rendering import dumps
from realtime import store

logger = logging.getLogger(__name__)

ADVICE = "advice"  # the channel-layer group of all hubs, and the type of what it is sent
ADVICE_SECONDS = 1.0  # for sending it
FLUSH_EXPIRES = 10  # seconds; beat enqueues another flush each second

Advice = tuple[str, Mapping[str, Any]]  # a stream, and what its subscribers are told


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A versioned value in a Redis hash, kept 15 minutes for those who read right after a change."""

    key: str
    field: str
    version: int
    value: Any


def streams_mark(*, streams: Iterable[str], entries: Iterable[Entry] = (), is_urgent: bool = True) -> None:
    """Mark streams as changed, after the commit, and keep the entries unless newer ones are kept.

    A change that is not urgent goes with the next flush, which beat enqueues each second. Ask Redis once. When that
    fails, leave it alone for a second; healing finds the change.
    """
    names = list(streams)
    queued_seconds = store.QUEUED_SECONDS if is_urgent else 0
    arguments = [store.KEPT_SECONDS, queued_seconds, len(names), *names, *_flat(entries)]
    keys = [store.MARKED, store.MARK_NUMBER, store.FLUSH_QUEUED]
    if store.guarded(lambda: store.run(store.MARK, keys=keys, args=arguments)):
        flush_enqueue()


def advice_send(*, advice: Sequence[Advice]) -> None:
    """Send each advice to the subscribers of its stream, in one message to all hubs.

    It changes no state, so a loss is harmless and only logged.
    """
    pairs = [[stream, dict(data)] for stream, data in advice]
    messages_send(messages=[(ADVICE, {"type": ADVICE, ADVICE: pairs})], seconds=ADVICE_SECONDS)


def entries_write(*, entries: Iterable[Entry]) -> None:
    """Keep the entries that are not older than what is kept, and mark nothing."""
    arguments = [store.KEPT_SECONDS, *_flat(entries)]
    if len(arguments) > 1:
        store.guarded(lambda: store.run(store.WRITE_ENTRIES, keys=[], args=arguments))


def entries_read(*, key: str) -> dict[str, Any] | None:
    """Return the kept values by field: {} when nothing is kept, None when Redis is away."""
    kept = store.guarded(
        lambda: cast("dict[str, str]", redis_client.connection().hgetall(store.entry_key(key)))
    )
    if kept is None:
        return None
    return {field: orjson.loads(text.partition(" ")[2]) for field, text in kept.items()}


def entries_delete(*, key: str) -> None:
    """Delete all entries of a key whose subject no longer exists."""
    store.guarded(lambda: redis_client.connection().delete(store.entry_key(key)))


def flush_enqueue() -> None:
    """Enqueue a flush. A failure is only logged: beat enqueues one each second anyway."""
    enqueue("realtime.flush", queue=Queue.LIVE, expires=FLUSH_EXPIRES)


def messages_send(*, messages: Sequence[tuple[str, Mapping[str, Any]]], seconds: float) -> int:
    """Send each message to the channel-layer group beside it; return how many were sent, from the first on.

    Never raise: Redis being away, or taking longer than `seconds` for all of them, is logged.
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
    """Return the event loop that this process keeps in a thread, with its connection to Redis.

    `async_to_sync` would make a loop and a connection for each call.
    """
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="publish", daemon=True).start()
    return loop


def _flat(entries: Iterable[Entry]) -> Iterator[str | int]:
    for entry in entries:
        yield from (store.entry_key(entry.key), entry.field, entry.version, dumps(entry.value).decode())
