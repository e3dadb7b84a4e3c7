"""Backpressure: subscribers that read too slowly skip to the latest state, or are closed.

Runs on Daphne's event loop, as one task of the hub.

What must stay true: at most one state, and short frames such as advice, wait in this process for a slow subscriber.
More can wait in the kernel.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Subscriber

STEP_SECONDS = 0.1  # between two checks of the slow subscribers
# If a client only sends pings and gets no frames, only a check of all sockets shows that it is slow.
CHECK_SECONDS = 1.0  # between two checks of all sockets
PATIENCE_SECONDS = 10.0  # a subscriber that is slow for longer is closed
MOST_WAITING = 1024 * 1024  # bytes; nothing else limits the answers to a client's pings


class Backpressure:
    """The slow subscribers of one hub.

    `subscribers()` returns all subscribers of the hub. `catch_up(subscriber)` sends the latest state to one of
    them, and `close(subscriber, code)` closes its socket.
    """

    def __init__(
        self,
        *,
        subscribers: Callable[[], Iterable[Subscriber]],
        catch_up: Callable[[Subscriber], Awaitable[None]],
        close: Callable[[Subscriber, CloseCode], Awaitable[None]],
    ) -> None:
        self._subscribers = subscribers
        self._catch_up = catch_up
        self._close = close
        self._loop = asyncio.get_running_loop()
        self._slow_since: dict[Subscriber, float] = {}
        self._check_all_at = 0.0
        self._slow_found = asyncio.Event()

    def is_slow(self, subscriber: Subscriber) -> bool:
        """Return whether the subscriber was slow when it was last checked."""
        return subscriber in self._slow_since

    def add(self, subscriber: Subscriber) -> None:
        """Note that the subscriber is slow: its connection has not taken what it was sent."""
        self._slow_since.setdefault(subscriber, self._loop.time())
        self._slow_found.set()

    def discard(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that has left."""
        self._slow_since.pop(subscriber, None)

    async def step(self) -> None:
        """Wait for STEP_SECONDS, or for CHECK_SECONDS while nobody is slow; then check."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._slow_found.wait()
                await asyncio.sleep(STEP_SECONDS)
        except TimeoutError:
            pass
        await self.check(now=self._loop.time())

    async def check(self, *, now: float) -> None:
        """Send the latest state to subscribers that are no longer slow; close those that are slow for too long.

        Also close those for which more than MOST_WAITING bytes wait. `now` is a time of the event loop's clock.
        """
        if self._check_all_at <= now:
            self._check_all_at = now + CHECK_SECONDS
            self._add_all_slow()
        for subscriber, since in [*self._slow_since.items()]:
            if subscriber not in self._slow_since:
                continue  # it left while this loop awaited another subscriber
            waiting = _waiting(subscriber)
            if not waiting:
                self.discard(subscriber)
                await self._catch_up(subscriber)
            elif now - since >= PATIENCE_SECONDS or waiting > MOST_WAITING:
                await self._close(subscriber, CloseCode.SLOW_OR_SILENT)
        if not self._slow_since:
            self._slow_found.clear()

    def _add_all_slow(self) -> None:
        """Add all subscribers for which bytes wait. If none wait in the whole process, look at one socket only."""
        for subscriber in self._subscribers():
            writer = subscriber.writer
            if writer is None:
                continue
            if not writer.any_bytes_wait():
                return
            if writer.waiting():
                self.add(subscriber)


def _waiting(subscriber: Subscriber) -> int:
    """Return how many bytes wait for the subscriber in this process."""
    return subscriber.writer.waiting() if subscriber.writer is not None else 0
