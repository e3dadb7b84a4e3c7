"""The hub's own connection to Redis: the frames that drains keep there, and whether drains get through."""

from collections.abc import Sequence

from django.conf import settings
from redis.asyncio import Redis

from realtime import store
from realtime.store import Frame

SECONDS = 1.0
VIEWERS_SECONDS = 5


class Source:
    """Reads of what is kept; all raise `redis.RedisError` or OSError within about SECONDS."""

    def __init__(self) -> None:
        self._redis = Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
        )

    async def close(self) -> None:
        """Will close the connections."""
        await self._redis.aclose()

    async def greet(self, *, hub: str, viewers: int) -> bool:
        """Will tell how many sockets a hub has, which holds for a while, and hear whether drains get through."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(f"{store.SUBSCRIBERS}{hub}", viewers, ex=VIEWERS_SECONDS)
            pipeline.exists(store.FLUSHED)
            _, drained = await pipeline.execute()
        return bool(drained)

    async def frames(self, names: Sequence[str]) -> dict[str, Frame]:
        """Will read the streams' kept frames; those that have none are missing."""
        if not names:
            return {}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(store.frame_key(name), store.FRAME_FIELDS)
            kept = await pipeline.execute()
        frames = [store.frame_of(name, fields) for name, fields in zip(names, kept, strict=True)]
        return {frame.stream: frame for frame in frames if frame is not None}
