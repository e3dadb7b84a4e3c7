"""Healing: keeps screens right when a message, a mark, Redis or a worker was lost.

Runs on Daphne's event loop, as one task of the hub; marking waits in a pool thread.

Note [Healing]: silence never counts as "nothing changed". Each stream with subscribers is marked every few seconds,
so that a flush reads it again. Its kept frame is read too, so that a frame that was lost on its way is found.
Unchanged state is not sent again. So any loss is repaired within one such period. While no flush gets through,
heartbeats tell the sockets that their state may be old.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from redis import RedisError

from realtime import publish
from realtime.gateway.subscription import Subscription

STEP_SECONDS = 1.0
DEAF_SECONDS = 4.0  # without a flush before sockets are told; there is one each second
AT_ONCE = 300  # streams in one mark


class Healing:
    """The healing of one hub.

    `greet` tells Redis that the hub lives, returns whether flushes get through, and raises when Redis is away.
    `read_kept` takes over the kept frames of the streams where they are newer. `tell(live=, now=)` tells the
    sockets whether changes get through.
    """

    def __init__(
        self,
        *,
        subscriptions: Callable[[], Collection[Subscription]],
        greet: Callable[[], Awaitable[bool]],
        read_kept: Callable[[list[str]], Awaitable[list[str]]],
        tell: Callable[..., Awaitable[None]],
    ) -> None:
        self._subscriptions = subscriptions
        self._greet = greet
        self._read_kept = read_kept
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._flushed_at = self._loop.time()
        self._lost = False

    async def step(self) -> None:
        """Wait a second, then heal what is due."""
        await asyncio.sleep(STEP_SECONDS)
        await self.heal(now=self._loop.time())

    async def heal(self, *, now: float) -> None:
        """Read and mark the streams that are due at `now`: all of them once Redis is back."""
        try:
            if await self._greet():
                self._flushed_at = now
        except (OSError, TimeoutError, RedisError):
            self._lost = True
            await self._tell(live=now - self._flushed_at < DEAF_SECONDS, now=now)
            raise
        await self._tell(live=now - self._flushed_at < DEAF_SECONDS, now=now)
        due = [each for each in self._subscriptions() if self._lost or each.healed_at + each.refresh <= now]
        self._lost = False
        for subscription in due:
            subscription.healed_at = now
        names = [subscription.stream for subscription in due if subscription.frame is not None]
        for start in range(0, len(names), AT_ONCE):
            part = names[start : start + AT_ONCE]
            await self._read_kept(part)
            await asyncio.to_thread(publish.streams_mark, streams=part)
