"""The hub: the one member of the channel layer in a process, which hands frames to all its sockets.

It joins a stream's group when the first viewer arrives and *then* reads the kept frame: the drain keeps a
frame before it sends it, so none falls in between. It keeps each stream's latest frame and nothing else.
What it cannot hear (a lost message, a notice that was never given) `healing` finds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.db import InterfaceError, OperationalError
from redis import RedisError

from overlord.kernel import clock
from realtime import publish
from realtime.gateway import daphne_socket, frames
from realtime.gateway.backpressure import SlowReaders
from realtime.gateway.daphne_socket import CloseCode, Send
from realtime.gateway.frame_source import Source
from realtime.gateway.healing import Healing
from realtime.gateway.subscriber import Text, Viewer
from realtime.gateway.subscription import HEARTBEAT_SECONDS, Feed
from realtime.rate_limits import Places
from realtime.store import Frame

logger = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 2.0
TICK_SECONDS = 1.0
REDIS_SECONDS = 1.0
RETRY_SECONDS = 0.5
GOING_AWAY_SECONDS = 0.2  # in which Daphne, about to stop, sends what it was given
SOCKETS_PER_ADDRESS = 1000  # many people can share one: a school, an office, a mobile network
SOCKETS_PER_USER = 20
SOCKETS_AT_ONCE = 250  # between two turns for the others on the event loop: they wait 2 or 3 ms


class Hub:
    """Everything a process shows, on one event loop; its methods are not for other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._layer = get_channel_layer()
        # The groups need a name that exists in this process only. `new_channel` would make another one each
        # time it is tried while Redis is away, and never forget them.
        self.name = f"hub.{uuid4().hex}"
        self.feeds: dict[str, Feed] = {}
        self.joined: set[str] = set()
        self.source = Source()
        self.healing = Healing(self, now=self._loop.time())
        self.slow_readers = SlowReaders(self)
        self.addresses = Places(limit=SOCKETS_PER_ADDRESS)
        self.users = Places(limit=SOCKETS_PER_USER)
        self._newcomers = asyncio.Event()
        self._parts = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Will begin to listen, to keep the groups, to heal, to ask again who may watch, and to beat."""
        steps = [self._listen, self._keep_groups, self._tick, self.slow_readers.step]
        for step in [*steps, self.healing.step, self.healing.access_step]:
            self._spawn(self._for_ever(step))

    async def stop(self) -> None:
        """Will end all work and leave the groups; sockets are left as they are."""
        for viewer in self.viewers():
            self.detach(viewer)
        while tasks := [*self._tasks]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.1)  # again: redis-py may lose one that comes as it connects
        await self.source.close()

    # Viewers ---------------------------------------------------------------------------------------------
    def viewers(self) -> list[Viewer]:
        """Will give all sockets that are shown something, or soon."""
        return [viewer for feed in self.feeds.values() for viewer in feed.viewers]

    async def attach(self, viewer: Viewer) -> None:
        """Will show the stream: a snapshot now, or within FIRST_FRAME_SECONDS, or a close; then updates."""
        feed = self.feeds.get(viewer.stream)
        if feed is None:
            feed = self.feeds[viewer.stream] = Feed(stream=viewer.stream, now=self._loop.time())
        feed.viewers.add(viewer)
        if feed.frame is None:
            viewer.timers["first"] = self._loop.call_later(FIRST_FRAME_SECONDS, self._give_up, viewer)
            self._newcomers.set()
        elif feed.frame.data is None:
            await self.close(viewer, CloseCode.NO_SUCH_STREAM)
        else:
            await self._hand(viewer, feed.frame, feed.snapshot(now=clock.now()))

    def detach(self, viewer: Viewer) -> None:
        """Will show nothing more to the viewer. A stream without viewers is forgotten within a second."""
        viewer.stop_timers()
        feed = self.feeds.get(viewer.stream)
        if feed is not None:
            feed.viewers.discard(viewer)

    def resync(self, viewer: Viewer) -> None:
        """Will answer with a snapshot, at once or when a second has passed since the last such answer."""
        if "resync" not in viewer.timers:
            wait = viewer.resyncs.wait(now=self._loop.time())
            viewer.timers["resync"] = self._loop.call_later(wait, self._answer, viewer)

    def _answer(self, viewer: Viewer) -> None:
        viewer.timers.pop("resync")
        feed = self.feeds.get(viewer.stream)
        if feed is None or viewer not in feed.viewers:
            return
        if feed.frame is not None and viewer.version is not None:
            viewer.resyncs.sent(now=self._loop.time())
            self._spawn(self._hand(viewer, feed.frame, feed.snapshot(now=clock.now())))

    def _give_up(self, viewer: Viewer) -> None:
        viewer.timers.pop("first")
        if viewer.version is None:
            self._spawn(self.close(viewer, CloseCode.NOT_READY))

    async def close(self, viewer: Viewer, code: CloseCode) -> None:
        """Will close the viewer's socket with the code and show it nothing more."""
        self.detach(viewer)
        await self._sent(viewer, viewer.close(code))

    def part_with(self, send: Send) -> None:
        """Will see to it that all sockets are told to come again when the server behind `send` stops."""
        if not self._parts:
            self._parts = daphne_socket.before_shutdown(send, self._part)

    async def _part(self) -> None:
        for viewer in self.viewers():
            await self.close(viewer, CloseCode.NOT_READY)
        await asyncio.sleep(GOING_AWAY_SECONDS)

    async def _hand(self, viewer: Viewer, frame: Frame, text: Text) -> None:
        """Will hand a state to the viewer, whom the first finds even if its handshake still waits."""
        if viewer.version is None or viewer.line is None:
            viewer.version = frame.version
            await self._sent(viewer, viewer.send_text(text))
        elif viewer.line.offer(text.frame):
            viewer.version = frame.version
        else:
            self.slow_readers.add(viewer)

    async def _sent(self, viewer: Viewer, sending: Awaitable[None]) -> None:
        """Will await the sending. A socket that fails is let go, and no other one's turn with it."""
        try:
            await sending
        except Exception:
            logger.warning("A socket of %s failed and is let go.", viewer.stream, exc_info=True)
            self.detach(viewer)

    # Frames ----------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        message = await self._layer.receive(self.name)
        if message.pop("type") == publish.ADVICE:
            await self._give_notices(message[publish.ADVICE])
        else:
            self.take(Frame(**message))

    async def _give_notices(self, notices: Iterable[tuple[str, Any]]) -> None:
        now = clock.now()
        for stream, notice in notices:
            feed = self.feeds.get(stream)
            for viewer in [*feed.viewers] if feed else []:
                if viewer.version is not None:
                    text = frames.expiring(stream, viewer.version, notice, now=now)
                    await self._sent(viewer, viewer.send_text(text))

    def take(self, frame: Frame) -> None:
        """Will keep the frame if it is newer than the one kept, and have it sent unless it shows the same."""
        feed = self.feeds.get(frame.stream)
        if feed is not None and feed.accept(frame) and feed.sender is None:
            feed.sender = self._spawn(self._send_out(feed))

    async def _send_out(self, feed: Feed) -> None:
        """Will send the latest frame, and the ones that come meanwhile, each time the latest only."""
        try:
            while feed.frame is not None and feed.frame.version > feed.sent:
                if wait := feed.pace.wait(now=self._loop.time()):
                    await asyncio.sleep(wait)
                feed.pace.sent(now=self._loop.time())
                await self.send_latest(feed, [*feed.viewers])
        finally:
            feed.sender = None

    async def send_latest(self, feed: Feed, viewers: Sequence[Viewer]) -> None:
        """Will show the latest state to those viewers who have an older one. See Note [Straight to the socket]."""
        frame = feed.frame
        if frame is None:
            return
        feed.sent = frame.version
        if frame.data is None:
            for viewer in viewers:
                await self.close(viewer, CloseCode.NO_SUCH_STREAM)
            return
        now, version, present = clock.now(), frame.version, feed.viewers
        update = frames.state("update", frame, now=now)
        for start in range(0, len(viewers), SOCKETS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for viewer in viewers[start : start + SOCKETS_AT_ONCE]:
                held, line = viewer.version, viewer.line
                if viewer not in present or (held is not None and held >= version):
                    continue
                if held is None:
                    await self._hand(viewer, frame, frames.state("snapshot", frame, now=now))
                elif line is not None and line.offer(update.frame):
                    viewer.version = version  # the hot path: no coroutine for each socket
                else:
                    await self._hand(viewer, frame, update)

    async def _tick(self) -> None:
        await asyncio.sleep(TICK_SECONDS)
        await self.heartbeats(now=self._loop.time())

    async def heartbeats(self, *, now: float) -> None:
        """Will send the heartbeats that are due at `now`, on the loop's clock."""
        for feed in [feed for feed in self.feeds.values() if feed.heartbeat_at <= now]:
            feed.heartbeat_at = now + HEARTBEAT_SECONDS
            texts: dict[int, Text] = {}
            for viewer in [*feed.viewers]:
                version = viewer.version
                if version is None or viewer in self.slow_readers:
                    continue
                if version not in texts:
                    live = self.healing.live
                    texts[version] = frames.heartbeat(feed.stream, version, live=live, now=clock.now())
                await self._sent(viewer, viewer.send_text(texts[version]))

    # Groups ----------------------------------------------------------------------------------------------
    async def _keep_groups(self) -> None:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._newcomers.wait()
        except TimeoutError:
            pass
        self._newcomers.clear()
        await self.reconcile()

    async def reconcile(self) -> None:
        """Will make the joined groups those that viewers want, and ask for the frames that are missing.

        What fails is tried again the next time, within a second: a viewer who came while Redis was away
        would otherwise leave its stream deaf for all who come later.
        """
        for stream in [stream for stream, feed in self.feeds.items() if not feed.viewers]:
            self._forget(stream)
        wanted = {publish.ADVICE, *self.feeds} if self.feeds else set()
        for stream in wanted - self.joined:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_add(stream, self.name)
            self.joined.add(stream)
        for stream in self.joined - wanted:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_discard(stream, self.name)
            self.joined.discard(stream)
        await self._ask_for_missing()

    def _forget(self, stream: str) -> None:
        feed = self.feeds.pop(stream)
        if feed.sender is not None:
            feed.sender.cancel()

    async def _ask_for_missing(self) -> None:
        now = self._loop.time()
        missing = [
            feed
            for feed in self.feeds.values()
            if feed.frame is None
            and feed.stream in self.joined
            and (feed.asked_at is None or feed.asked_at <= now - TICK_SECONDS)
        ]
        for feed in missing:
            feed.asked_at = now
        unknown = await self.read_kept([feed.stream for feed in missing])
        if unknown:
            await asyncio.to_thread(publish.streams_mark, streams=unknown)

    async def read_kept(self, names: list[str]) -> list[str]:
        """Will take the streams' kept frames where they are newer; names the streams that have none."""
        kept = await self.source.frames(names)
        for frame in kept.values():
            self.take(frame)
        return [name for name in names if name not in kept]

    # Tasks -----------------------------------------------------------------------------------------------
    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Will repeat the step; one that fails (Redis is away) is only logged and tried again."""
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
        self._tasks.add(task)  # the loop itself keeps no hold of its tasks
        task.add_done_callback(self._tasks.discard)
        return task


def _expected(error: Exception) -> bool:
    """A server that is away is no fault of ours."""
    return isinstance(error, OSError | TimeoutError | RedisError | OperationalError | InterfaceError)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """Will give the running event loop's hub, started at the first call; Daphne has one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
        _hubs[loop].start()
    return _hubs[loop]
