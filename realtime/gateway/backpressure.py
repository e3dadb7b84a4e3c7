"""Backpressure: subscribers that read too slowly skip to the latest state, or are closed.

Runs on Daphne's event loop, as one task of the hub. At most one frame waits in the process for a slow subscriber,
besides what the kernel holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Subscriber

STEP_SECONDS = 0.1
# A client that only sends pings gets no frames, so only a look at all sockets notices that it is slow.
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 10.0  # for which a subscriber may stay slow
MOST_WAITING = 1024 * 1024  # bytes; answers to a client's pings, which nothing else limits


class Backpressure:
    """The slow subscribers of one hub, each with the time since when it is slow."""

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
        self._since: dict[Subscriber, float] = {}
        self._look_at = 0.0
        self._found = asyncio.Event()

    def is_slow(self, subscriber: Subscriber) -> bool:
        """Return whether bytes wait for this subscriber."""
        return subscriber in self._since

    def add(self, subscriber: Subscriber) -> None:
        """Note that a frame could not be handed to the subscriber."""
        self._since.setdefault(subscriber, self._loop.time())
        self._found.set()

    def discard(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that has left."""
        self._since.pop(subscriber, None)

    async def step(self) -> None:
        """Wait for STEP_SECONDS, or LOOK_SECONDS while nobody is slow, then look."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._found.wait()
                await asyncio.sleep(STEP_SECONDS)
        except TimeoutError:
            pass
        await self.look(now=self._loop.time())

    async def look(self, *, now: float) -> None:
        """Send the latest state to those who have caught up by `now`, and close those who are slow for too long."""
        if self._look_at <= now:
            self._look_at = now + LOOK_SECONDS
            self._look_at_all()
        for subscriber, since in [*self._since.items()]:
            if subscriber not in self._since:
                continue  # it left while another one was served
            waiting = _waiting(subscriber)
            if not waiting:
                self.discard(subscriber)
                await self._catch_up(subscriber)
            elif now - since >= PATIENCE_SECONDS or waiting > MOST_WAITING:
                await self._close(subscriber, CloseCode.SLOW_OR_SILENT)
        if not self._since:
            self._found.clear()

    def _look_at_all(self) -> None:
        """Note all who are slow. While no bytes wait in this process, look at no more than one socket."""
        for subscriber in self._subscribers():
            writer = subscriber.writer
            if writer is None:
                continue
            if not writer.anything_waits():
                return
            if writer.waiting():
                self.add(subscriber)


def _waiting(subscriber: Subscriber) -> int:
    """Return how many bytes wait for the subscriber in this process."""
    return subscriber.writer.waiting() if subscriber.writer is not None else 0
