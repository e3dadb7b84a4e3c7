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

    async def drains(self) -> bool:
        """Will say whether a drain got through lately."""
        return bool(await self._redis.exists(store.DRAINED))

    async def say_viewers(self, *, hub: str, count: int) -> None:
        """Will say how many sockets a hub has, for as long as it goes on saying so."""
        await self._redis.set(f"{store.VIEWERS}{hub}", count, ex=VIEWERS_SECONDS)

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
