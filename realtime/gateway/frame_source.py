"""The frame source: where a hub's frames come from.

Runs on Daphne's event loop. New frames come as messages of the channel layer, to the groups that the hub has
joined. The latest frame of each stream is kept in Redis; the hub reads it over a connection of its own.

What must stay true: the hub misses no frame. So it joins a stream's group before it reads the kept frame, and a
flush keeps a frame before it sends it.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

from channels.layers import get_channel_layer
from django.conf import settings

from overlord.kernel import open_files
from overlord.redis_address import RedisAddress, async_client_close
from realtime import publish, sockets, store
from realtime.store import Frame

REDIS_SECONDS = 1.0  # the longest that one call of Redis may take


class FrameSource:
    """The groups and kept frames of one hub. Each method may raise `redis.RedisError`, OSError or TimeoutError."""

    def __init__(self) -> None:
        # `new_channel` would make another name at each try while Redis is away.
        self.name = f"hub.{uuid4().hex}"
        self.joined: set[str] = set()
        self._layer = get_channel_layer()
        self._redis = RedisAddress(settings.REDIS_URL).async_client(
            decode_responses=True,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )

    async def close(self) -> None:
        """Close the connections to Redis."""
        await async_client_close(self._redis)

    async def receive(self) -> dict[str, Any]:
        """Wait for the next message of the joined groups."""
        message: dict[str, Any] = await self._layer.receive(self.name)
        return message

    async def join(self, streams: Collection[str]) -> None:
        """Join the groups of these streams, and that of advice unless `streams` is empty; leave all others."""
        wanted = {publish.ADVICE, *streams} if streams else set()
        for group in wanted - self.joined:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_add(group, self.name)
            self.joined.add(group)
        for group in self.joined - wanted:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_discard(group, self.name)
            self.joined.discard(group)

    async def report(self, *, subscribers: int) -> bool:
        """Record in Redis how many sockets the hub has, and whether its process can take another.

        Return whether a flush has succeeded within the last `store.FLUSHED_SECONDS`.
        """
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(f"{sockets.SUBSCRIBERS}{self.name}", subscribers, ex=sockets.KEPT_SECONDS)
            pipeline.set(f"{sockets.ROOM}{self.name}", int(open_files.has_room()), ex=sockets.KEPT_SECONDS)
            pipeline.exists(store.FLUSHED)
            *_, flushed = await pipeline.execute()
        return bool(flushed)

    async def frames(self, names: Sequence[str]) -> list[Frame]:
        """Return the kept frame of each of these streams. Streams without a kept frame are left out."""
        if not names:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(store.frame_key(name), store.FRAME_FIELDS)
            kept = await pipeline.execute()
        frames = [store.frame_of(name, fields) for name, fields in zip(names, kept, strict=True)]
        return [frame for frame in frames if frame is not None]
