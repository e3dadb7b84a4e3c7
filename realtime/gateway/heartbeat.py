"""The heartbeat: tells each socket every 15 seconds which version it should have, and whether its state may be old.

Runs on Daphne's event loop, as one task of the hub. A heartbeat carries the version last sent to its socket. So a
client that missed an update notices the loss and asks for a snapshot.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from overlord.kernel import clock
from realtime.gateway import frames
from realtime.gateway.frames import Text
from realtime.gateway.subscriber import Subscriber
from realtime.gateway.subscription import Subscription

HEARTBEAT_SECONDS = 15.0
STEP_SECONDS = 1.0


class Heartbeat:
    """The heartbeats of one hub. `live` says whether changes get through.

    `subscriptions()` returns all subscriptions of the hub. A subscriber for which `is_slow(subscriber)` is true
    gets no heartbeat. `send(subscriber, text)` sends a text.
    """

    def __init__(
        self,
        *,
        subscriptions: Callable[[], Collection[Subscription]],
        is_slow: Callable[[Subscriber], bool],
        send: Callable[[Subscriber, Text], Awaitable[None]],
    ) -> None:
        self._subscriptions = subscriptions
        self._is_slow = is_slow
        self._send = send
        self._loop = asyncio.get_running_loop()
        self.live = True

    async def step(self) -> None:
        """Wait a second, then send the heartbeats that are due."""
        await asyncio.sleep(STEP_SECONDS)
        await self.beat(now=self._loop.time())

    async def beat(self, *, now: float) -> None:
        """Send the heartbeats that are due at `now`, on the loop's clock."""
        for subscription in self._subscriptions():
            if subscription.heartbeat_at + HEARTBEAT_SECONDS <= now:
                await self._beat(subscription, now=now)

    async def tell(self, *, live: bool, now: float) -> None:
        """Send a heartbeat to all sockets if `live` has changed; `now` is on the loop's clock."""
        if live != self.live:
            self.live = live
            for subscription in self._subscriptions():
                await self._beat(subscription, now=now)

    async def warn(self, subscriber: Subscriber) -> None:
        """Send a heartbeat after a state, if changes do not get through now: it says that the state may be old."""
        if not self.live and subscriber.version is not None:
            text = frames.heartbeat(subscriber.stream, subscriber.version, live=False, now=clock.now())
            await self._send(subscriber, text)

    async def _beat(self, subscription: Subscription, *, now: float) -> None:
        subscription.heartbeat_at = now
        texts: dict[int, Text] = {}
        for subscriber in [*subscription.subscribers]:
            version = subscriber.version
            if version is None or self._is_slow(subscriber):
                continue
            if version not in texts:
                texts[version] = frames.heartbeat(
                    subscription.stream, version, live=self.live, now=clock.now()
                )
            await self._send(subscriber, texts[version])
