"""The hub: hands the frames of its streams to all sockets of one process.

Runs on Daphne's event loop. `current()` returns this loop's hub; other threads must not call it. Each of the hub's
other tasks has a module: `heartbeat`, `healing` (of losses), `backpressure` (for slow subscribers) and `revocation`
(of the right to watch). They get callbacks and do not import the hub.

What must stay true: the hub is the only member of the channel layer in its process. Of each stream it keeps the
latest frame and no other, and it never reads state from PostgreSQL.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError
from redis import RedisError

from overlord.kernel import clock
from realtime import publish, rate_limits
from realtime.gateway import daphne_socket, frames
from realtime.gateway.backpressure import Backpressure
from realtime.gateway.daphne_socket import CloseCode, Send
from realtime.gateway.frame_source import FrameSource
from realtime.gateway.frames import Text
from realtime.gateway.healing import Healing
from realtime.gateway.heartbeat import Heartbeat
from realtime.gateway.revocation import Revocation
from realtime.gateway.subscriber import Subscriber
from realtime.gateway.subscription import Subscription
from realtime.rate_limits import ConcurrencyLimit
from realtime.store import Frame

logger = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 2.0  # the longest wait of a new socket for its first frame
RECONCILE_SECONDS = 1.0  # between two calls of `reconcile`, if no socket comes
RETRY_SECONDS = 0.5  # after a step that failed
GOING_AWAY_SECONDS = 0.2  # before Daphne stops, so that it can still send the closes
# After this number of sockets, the hub lets other work of the event loop run, which has waited some milliseconds.
SOCKETS_AT_ONCE = 250


class Hub:
    """The subscriptions of one process, and its work on them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.subscriptions: dict[str, Subscription] = {}
        self.source = FrameSource()
        self.backpressure = Backpressure(
            subscribers=self.subscribers, catch_up=self._catch_up, close=self.close
        )
        self.heartbeat = Heartbeat(
            subscriptions=self._all, is_slow=self.backpressure.is_slow, send=self._send_text
        )
        self.healing = Healing(
            subscriptions=self._all, report=self._report, read_kept=self.read_kept, tell=self.heartbeat.tell
        )
        self.revocation = Revocation(subscribers=self.subscribers, close=self.close)
        self.addresses = ConcurrencyLimit(limit=rate_limits.SOCKETS_PER_ADDRESS)
        self.users = ConcurrencyLimit(limit=rate_limits.SOCKETS_PER_USER)
        self._newcomers = asyncio.Event()
        self._stops_with_server = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the hub's tasks."""
        steps = [self._listen, self._reconcile_step, self.heartbeat.step, self.backpressure.step]
        steps += [self.healing.step, self.revocation.listen_step, self.revocation.check_step]
        for step in steps:
            self._spawn(self._repeat(step))

    async def stop(self) -> None:
        """End all tasks, detach all sockets without closing them, and close the connections to Redis."""
        for subscriber in self.subscribers():
            self.detach(subscriber)
        while tasks := [*self._tasks]:
            for task in tasks:
                task.cancel()
            # redis-py may lose a cancellation while it connects. Then the tasks are cancelled again.
            await asyncio.wait(tasks, timeout=0.1)
        self.revocation.stop_listening()
        await self.source.close()

    def close_before_shutdown(self, send: Send) -> None:
        """Close all sockets before the server behind `send` stops, so that clients reconnect."""
        if not self._stops_with_server:
            self._stops_with_server = daphne_socket.before_shutdown(send, self._close_all)

    async def _close_all(self) -> None:
        for subscriber in self.subscribers():
            await self.close(subscriber, CloseCode.NOT_READY)
        await asyncio.sleep(GOING_AWAY_SECONDS)

    # Subscribers -----------------------------------------------------------------------------------------
    def subscribers(self) -> list[Subscriber]:
        """Return all sockets that are attached."""
        return [subscriber for each in self.subscriptions.values() for subscriber in each.subscribers]

    async def attach(self, subscriber: Subscriber) -> None:
        """Send the socket a snapshot of its stream, and from then on updates.

        If there is no snapshot within FIRST_FRAME_SECONDS, or no such stream, close the socket.
        """
        stream = subscriber.stream
        subscription = self.subscriptions.get(stream)
        if subscription is None:
            subscription = self.subscriptions[stream] = Subscription(stream=stream, now=self._loop.time())
        subscription.subscribers.add(subscriber)
        if subscription.frame is None:
            give_up = self._loop.call_later(FIRST_FRAME_SECONDS, self._give_up, subscriber)
            subscriber.timers["first frame"] = give_up
            self._newcomers.set()
        elif subscription.frame.data is None:
            await self.close(subscriber, CloseCode.NO_SUCH_STREAM)
        else:
            await self._send_state(subscriber, subscription.frame, subscription.snapshot(now=clock.now()))

    def detach(self, subscriber: Subscriber) -> None:
        """Remove the subscriber from its stream. A stream without subscribers is forgotten within a second."""
        subscriber.stop_timers()
        self.backpressure.discard(subscriber)
        subscription = self.subscriptions.get(subscriber.stream)
        if subscription is not None:
            subscription.subscribers.discard(subscriber)

    async def close(self, subscriber: Subscriber, code: CloseCode) -> None:
        """Close the subscriber's socket with the code, and detach it."""
        self.detach(subscriber)
        await self._await_sending(subscriber, subscriber.close(code))

    def resync(self, subscriber: Subscriber) -> None:
        """Send the subscriber a snapshot: now, or when RESYNC_SECONDS have passed since the last resync."""
        if "resync" not in subscriber.timers:
            wait = subscriber.resyncs.wait(now=self._loop.time())
            subscriber.timers["resync"] = self._loop.call_later(wait, self._resync_now, subscriber)

    def _resync_now(self, subscriber: Subscriber) -> None:
        subscriber.timers.pop("resync")
        subscription = self._subscription_of(subscriber)
        if subscription is None or subscription.frame is None or subscriber.version is None:
            return
        subscriber.resyncs.record(now=self._loop.time())
        if subscription.frame.data is None:
            self._spawn(self.close(subscriber, CloseCode.NO_SUCH_STREAM))
            return
        snapshot = subscription.snapshot(now=clock.now())
        self._spawn(self._send_state(subscriber, subscription.frame, snapshot))

    def _give_up(self, subscriber: Subscriber) -> None:
        subscriber.timers.pop("first frame")
        if subscriber.version is None:
            self._spawn(self.close(subscriber, CloseCode.NOT_READY))

    async def _catch_up(self, subscriber: Subscriber) -> None:
        subscription = self._subscription_of(subscriber)
        if subscription is not None:
            await self.send_latest(subscription, [subscriber])

    def _subscription_of(self, subscriber: Subscriber) -> Subscription | None:
        """Return the subscription to which the subscriber is attached; None when it has left."""
        subscription = self.subscriptions.get(subscriber.stream)
        return subscription if subscription and subscriber in subscription.subscribers else None

    # Frames ----------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        message = await self.source.receive()
        if message.pop("type") == publish.ADVICE:
            await self._send_advice(message[publish.ADVICE])
        else:
            self.take(Frame(**message))

    async def _send_advice(self, pairs: Iterable[tuple[str, Any]]) -> None:
        now = clock.now()
        for stream, advice in pairs:
            subscription = self.subscriptions.get(stream)
            for subscriber in [*subscription.subscribers] if subscription else []:
                if subscriber.version is not None:
                    text = frames.expiring(stream, subscriber.version, advice, now=now)
                    await self._send_text(subscriber, text)

    def take(self, frame: Frame) -> None:
        """Keep the frame if it is newer than the kept one, and send it unless its content is unchanged."""
        subscription = self.subscriptions.get(frame.stream)
        if subscription is not None and subscription.accept(frame) and subscription.sender is None:
            subscription.sender = self._spawn(self._send_out(subscription))

    async def _send_out(self, subscription: Subscription) -> None:
        """Send the latest frame to all, again and again until no newer one has come meanwhile."""
        try:
            while subscription.frame is not None and subscription.frame.version > subscription.sent:
                if wait := subscription.throttle.wait(now=self._loop.time()):
                    await asyncio.sleep(wait)
                subscription.throttle.record(now=self._loop.time())
                subscription.sent = subscription.frame.version
                await self.send_latest(subscription, [*subscription.subscribers])
        finally:
            subscription.sender = None

    async def send_latest(self, subscription: Subscription, subscribers: Sequence[Subscriber]) -> None:
        """Send the latest state to those of `subscribers` that have an older state or none.

        If the stream no longer exists, close them. See Note [Straight to the socket] in `daphne_socket.py`.
        """
        frame = subscription.frame
        if frame is None:
            return
        if frame.data is None:
            for subscriber in subscribers:
                await self.close(subscriber, CloseCode.NO_SUCH_STREAM)
            return
        now, version, attached = clock.now(), frame.version, subscription.subscribers
        live = self.heartbeat.live
        update = frames.state("update", frame, now=now)
        for start in range(0, len(subscribers), SOCKETS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for subscriber in subscribers[start : start + SOCKETS_AT_ONCE]:
                held, writer = subscriber.version, subscriber.writer
                if subscriber not in attached or (held is not None and held >= version):
                    continue
                if held is None:
                    await self._send_state(subscriber, frame, frames.state("snapshot", frame, now=now))
                elif live and writer is not None and writer.offer(update.frame):
                    subscriber.version = version  # the usual case. It makes no coroutine for each socket
                else:
                    await self._send_state(subscriber, frame, update)

    async def _send_state(self, subscriber: Subscriber, frame: Frame, text: Text) -> None:
        """Send a state to the subscriber. If earlier bytes still wait, send it later: see `backpressure.py`.

        The first state is always sent at once. A client shows each state as the current one. So while changes do
        not get through, a heartbeat that says so follows each state.
        """
        if subscriber.version is None or subscriber.writer is None:
            subscriber.version = frame.version
            await self._send_text(subscriber, text)
        elif subscriber.writer.offer(text.frame):
            subscriber.version = frame.version
        else:
            self.backpressure.add(subscriber)
            return
        await self.heartbeat.warn(subscriber)

    async def _send_text(self, subscriber: Subscriber, text: Text) -> None:
        await self._await_sending(subscriber, subscriber.send_text(text))

    async def _await_sending(self, subscriber: Subscriber, sending: Awaitable[None]) -> None:
        """Await the sending. If it fails, detach this socket, so that the others are still served."""
        try:
            await sending
        except Exception:
            logger.warning("A socket of %s failed and was detached.", subscriber.stream, exc_info=True)
            self.detach(subscriber)

    # Groups and kept frames ------------------------------------------------------------------------------
    async def _reconcile_step(self) -> None:
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                await self._newcomers.wait()
        except TimeoutError:
            pass
        self._newcomers.clear()
        await self.reconcile()

    async def reconcile(self) -> None:
        """Join the groups of streams with subscribers, leave all others, and read the frames that are missing.

        This is called each second, even after a failure. So a stream whose first subscriber came while Redis was
        away gets its frames when Redis is back.
        """
        for subscription in [each for each in self._all() if not each.subscribers]:
            self._forget(subscription)
        await self.source.join(self.subscriptions)
        await self._read_missing()

    def _forget(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription.stream]
        if subscription.sender is not None:
            subscription.sender.cancel()

    async def _read_missing(self) -> None:
        """Read the kept frames of streams that have no frame here; mark those that have none in Redis either."""
        now = self._loop.time()
        missing = [
            each
            for each in self._all()
            if each.frame is None
            and each.stream in self.source.joined
            and (each.asked_at is None or each.asked_at <= now - RECONCILE_SECONDS)
        ]
        for subscription in missing:
            subscription.asked_at = now
        unknown = await self.read_kept([subscription.stream for subscription in missing])
        if unknown:
            await asyncio.to_thread(publish.streams_mark, streams=unknown)

    async def read_kept(self, names: list[str]) -> list[str]:
        """Read the frames that Redis keeps of these streams, and take them; return the streams without one."""
        kept = await self.source.frames(names)
        for frame in kept:
            self.take(frame)
        found = {frame.stream for frame in kept}
        return [name for name in names if name not in found]

    async def _report(self) -> bool:
        return await self.source.report(subscribers=sum(len(each.subscribers) for each in self._all()))

    def _all(self) -> list[Subscription]:
        return [*self.subscriptions.values()]

    # Tasks -----------------------------------------------------------------------------------------------
    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat the step for ever. If it fails, for example because Redis is away, log this and try again."""
        while True:
            try:
                await step()
            except Exception as error:
                logger.warning(
                    "The hub failed in %s: %s", step.__qualname__, error, exc_info=not _expected(error)
                )
                await asyncio.sleep(RETRY_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no reference to its tasks
        task.add_done_callback(self._tasks.discard)
        return task


def _expected(error: Exception) -> bool:
    """Return whether the error only means that Redis or PostgreSQL cannot be reached."""
    return isinstance(error, OSError | TimeoutError | RedisError | OperationalError | InterfaceError)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """Return the hub of the running event loop, and start it at the first call. Daphne has one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
        _hubs[loop].start()
    return _hubs[loop]
