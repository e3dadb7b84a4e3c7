"""Healing: keeps screens right when a message, a mark, Redis or a worker was lost.

Runs on Daphne's event loop, as one task of the hub; streams are marked in a pool thread.

Note [Healing]: if the hub hears nothing, it does not conclude that nothing changed. It marks each stream that has
subscribers every `refresh` seconds (1 to 30, by the kind of stream), so that a flush reads the stream again. It
also reads the stream's kept frame, in case the message with this frame was lost. So each loss is repaired after
about this time. Unchanged state is not sent again. While no flush succeeds, heartbeats tell the sockets that their
state may be old.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from redis import RedisError

from realtime import publish
from realtime.gateway.subscription import Subscription

STEP_SECONDS = 1.0
DEAF_SECONDS = 4.0  # after this time without a flush, sockets are told. Normally there is a flush each second
AT_ONCE = 300  # streams that one call marks


class Healing:
    """The healing of one hub.

    `report()` records in Redis that the hub runs and returns whether flushes succeed; it raises an error when Redis
    is away. `read_kept(streams)` reads the frames of these streams from Redis and gives the newer ones to the hub.
    `tell(live=, now=)` tells the sockets whether changes get through.
    """

    def __init__(
        self,
        *,
        subscriptions: Callable[[], Collection[Subscription]],
        report: Callable[[], Awaitable[bool]],
        read_kept: Callable[[list[str]], Awaitable[list[str]]],
        tell: Callable[..., Awaitable[None]],
    ) -> None:
        self._subscriptions = subscriptions
        self._report = report
        self._read_kept = read_kept
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._flushed_at = self._loop.time()
        self._redis_was_lost = False

    async def step(self) -> None:
        """Wait a second, then heal what is due."""
        await asyncio.sleep(STEP_SECONDS)
        await self.heal(now=self._loop.time())

    async def heal(self, *, now: float) -> None:
        """Read and mark the streams that are due at `now`, on the loop's clock. When Redis is back, all are due.

        Raise the error of `report` while Redis is away.
        """
        try:
            if await self._report():
                self._flushed_at = now
        except (OSError, TimeoutError, RedisError):
            self._redis_was_lost = True
            await self._tell(live=now - self._flushed_at < DEAF_SECONDS, now=now)
            raise
        await self._tell(live=now - self._flushed_at < DEAF_SECONDS, now=now)
        everything = self._redis_was_lost
        due = [each for each in self._subscriptions() if everything or each.healed_at + each.refresh <= now]
        self._redis_was_lost = False
        for subscription in due:
            subscription.healed_at = now
        names = [subscription.stream for subscription in due if subscription.frame is not None]
        for start in range(0, len(names), AT_ONCE):
            part = names[start : start + AT_ONCE]
            await self._read_kept(part)
            await asyncio.to_thread(publish.streams_mark, streams=part)
