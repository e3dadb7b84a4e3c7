"""The hub: the one member of the channel layer in a process, which hands frames to all its sockets.

It joins a stream's group when the first viewer arrives and *then* reads the kept frame: the drain keeps a
frame before it sends it, so none falls in between. It keeps each stream's latest frame and nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal
from uuid import uuid4
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings
from redis import RedisError
from redis.asyncio import Redis

from overlord.kernel import clock
from realtime import broadcast, frame_text, store
from realtime.close_codes import CloseCode
from realtime.pace import Pace
from realtime.store import Frame
from realtime.viewer import Viewer

logger = logging.getLogger(__name__)

UPDATE_SECONDS = 0.1  # between two updates of a stream
FIRST_FRAME_SECONDS = 2.0
HEARTBEAT_SECONDS = 15.0
TICK_SECONDS = 1.0
REDIS_SECONDS = 1.0
RETRY_SECONDS = 0.5
SOCKETS_AT_ONCE = 100  # between two turns for the others on the event loop


class Feed:
    """A stream that has viewers here. `asked_at`: when its frame was last asked for, on the loop's clock."""

    def __init__(self, *, stream: str, now: float) -> None:
        self.stream = stream
        self.viewers: set[Viewer] = set()
        self.frame: Frame | None = None
        self.asked_at: float | None = None
        self.sent = 0
        self.pace = Pace(interval=UPDATE_SECONDS)
        self.sender: asyncio.Task[None] | None = None
        self.heartbeat_at = now + HEARTBEAT_SECONDS


class Hub:
    """Everything a process shows, on one event loop; its methods are not for other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._layer = get_channel_layer()
        # The groups need a name that exists in this process only. `new_channel` would make another one each
        # time it is tried while Redis is away, and never forget them.
        self._channel = f"hub.{uuid4().hex}"
        self._redis = Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )
        self._feeds: dict[str, Feed] = {}
        self._joined: set[str] = set()
        self._newcomers = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Will begin to listen, to keep the groups and to send heartbeats."""
        self._spawn(self._for_ever(self._listen))
        self._spawn(self._for_ever(self._keep_groups))
        self._spawn(self._for_ever(self._tick))

    async def stop(self) -> None:
        """Will end all work and leave the groups; sockets are left as they are."""
        for viewer in [viewer for feed in self._feeds.values() for viewer in feed.viewers]:
            self.detach(viewer)
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose()

    # Viewers ---------------------------------------------------------------------------------------------
    async def attach(self, viewer: Viewer) -> None:
        """Will show the stream: a snapshot now, or within FIRST_FRAME_SECONDS, or a close; then updates."""
        feed = self._feeds.get(viewer.stream)
        if feed is None:
            feed = self._feeds[viewer.stream] = Feed(stream=viewer.stream, now=self._loop.time())
        feed.viewers.add(viewer)
        if feed.frame is None:
            viewer.timers["first"] = self._loop.call_later(FIRST_FRAME_SECONDS, self._give_up, viewer)
            self._newcomers.set()
        elif feed.frame.data is None:
            await self._close(viewer, CloseCode.NO_SUCH_STREAM)
        else:
            await self._hand(viewer, feed.frame, frame_text.state("snapshot", feed.frame, now=clock.now()))

    def detach(self, viewer: Viewer) -> None:
        """Will show nothing more to the viewer. A stream without viewers is forgotten within a second."""
        viewer.stop_timers()
        feed = self._feeds.get(viewer.stream)
        if feed is not None:
            feed.viewers.discard(viewer)

    def resync(self, viewer: Viewer) -> None:
        """Will answer with a snapshot, at once or when a second has passed since the last such answer."""
        if "resync" not in viewer.timers:
            wait = viewer.resyncs.wait(now=self._loop.time())
            viewer.timers["resync"] = self._loop.call_later(wait, self._answer, viewer)

    def _answer(self, viewer: Viewer) -> None:
        viewer.timers.pop("resync")
        feed = self._feeds.get(viewer.stream)
        if feed is None or viewer not in feed.viewers:
            return
        if feed.frame is not None and viewer.version is not None:
            viewer.resyncs.sent(now=self._loop.time())
            text = frame_text.state("snapshot", feed.frame, now=clock.now())
            self._spawn(self._hand(viewer, feed.frame, text))

    def _give_up(self, viewer: Viewer) -> None:
        viewer.timers.pop("first")
        if viewer.version is None:
            self._spawn(self._close(viewer, CloseCode.NOT_READY))

    async def _close(self, viewer: Viewer, code: CloseCode) -> None:
        self.detach(viewer)
        await self._sent(viewer, viewer.close(code))

    async def _hand(self, viewer: Viewer, frame: Frame, text: str) -> None:
        viewer.version = frame.version
        await self._sent(viewer, viewer.send_text(text))

    async def _sent(self, viewer: Viewer, sending: Awaitable[None]) -> None:
        """Will await the sending. A socket that fails is let go, and no other one's turn with it."""
        try:
            await sending
        except Exception:
            logger.warning("A socket of %s failed and is let go.", viewer.stream, exc_info=True)
            self.detach(viewer)

    # Frames ----------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        message = await self._layer.receive(self._channel)
        self.take(Frame(stream=message["stream"], version=message["version"], data=message["data"]))

    def take(self, frame: Frame) -> None:
        """Will keep the frame if it is newer than the one kept, and have it sent."""
        feed = self._feeds.get(frame.stream)
        if feed is None or (feed.frame is not None and feed.frame.version >= frame.version):
            return
        feed.frame = frame
        if feed.sender is None:
            feed.sender = self._spawn(self._send_out(feed))

    async def _send_out(self, feed: Feed) -> None:
        """Will send the latest frame, and the ones that come meanwhile, each time the latest only."""
        try:
            while feed.frame is not None and feed.frame.version > feed.sent:
                await asyncio.sleep(feed.pace.wait(now=self._loop.time()))
                feed.pace.sent(now=self._loop.time())
                await self._send_latest(feed, feed.frame)
        finally:
            feed.sender = None

    async def _send_latest(self, feed: Feed, frame: Frame) -> None:
        feed.sent = frame.version
        texts: dict[Literal["snapshot", "update"], str] = {}
        for count, viewer in enumerate([*feed.viewers], start=1):
            if viewer not in feed.viewers or (viewer.version or 0) >= frame.version:
                continue
            if frame.data is None:
                await self._close(viewer, CloseCode.NO_SUCH_STREAM)
                continue
            kind: Literal["snapshot", "update"] = "snapshot" if viewer.version is None else "update"
            if kind not in texts:
                texts[kind] = frame_text.state(kind, frame, now=clock.now())
            await self._hand(viewer, frame, texts[kind])
            if count % SOCKETS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _tick(self) -> None:
        await asyncio.sleep(TICK_SECONDS)
        await self.heartbeats(now=self._loop.time())

    async def heartbeats(self, *, now: float) -> None:
        """Will send the heartbeats that are due at `now`, on the loop's clock."""
        for feed in [feed for feed in self._feeds.values() if feed.heartbeat_at <= now]:
            feed.heartbeat_at = now + HEARTBEAT_SECONDS
            texts: dict[int, str] = {}
            for viewer in [*feed.viewers]:
                version = viewer.version
                if version is None:
                    continue
                if version not in texts:
                    texts[version] = frame_text.heartbeat(feed.stream, version, now=clock.now())
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
        for stream in [stream for stream, feed in self._feeds.items() if not feed.viewers]:
            self._forget(stream)
        for stream in [stream for stream in self._feeds if stream not in self._joined]:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_add(stream, self._channel)
            self._joined.add(stream)
        for stream in [stream for stream in self._joined if stream not in self._feeds]:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._layer.group_discard(stream, self._channel)
            self._joined.discard(stream)
        await self._ask_for_missing()

    def _forget(self, stream: str) -> None:
        feed = self._feeds.pop(stream)
        if feed.sender is not None:
            feed.sender.cancel()

    async def _ask_for_missing(self) -> None:
        now = self._loop.time()
        missing = [
            feed
            for feed in self._feeds.values()
            if feed.frame is None
            and feed.stream in self._joined
            and (feed.asked_at is None or feed.asked_at <= now - TICK_SECONDS)
        ]
        for feed in missing:
            feed.asked_at = now
        unknown = await self.read_kept([feed.stream for feed in missing])
        if unknown:
            await asyncio.to_thread(broadcast.announce, streams=unknown)

    async def read_kept(self, streams: list[str]) -> list[str]:
        """Will take the streams' kept frames where they are newer; names the streams that have none."""
        if not streams:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for stream in streams:
                pipeline.hmget(store.frame_key(stream), store.FRAME_FIELDS)
            kept = await pipeline.execute()
        frames = [store.frame_of(stream, fields) for stream, fields in zip(streams, kept, strict=True)]
        for frame in frames:
            if frame is not None:
                self.take(frame)
        return [stream for stream, frame in zip(streams, frames, strict=True) if frame is None]

    # Tasks -----------------------------------------------------------------------------------------------
    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Will repeat the step; one that fails (Redis is away) is only logged and tried again."""
        while True:
            try:
                await step()
            except Exception as error:
                logger.warning(
                    "The hub failed in %s: %s", step.__name__, error, exc_info=not _expected(error)
                )
                await asyncio.sleep(RETRY_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no hold of its tasks
        task.add_done_callback(self._tasks.discard)
        return task


def _expected(error: Exception) -> bool:
    return isinstance(error, OSError | TimeoutError | RedisError)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """Will give the running event loop's hub, started at the first call; Daphne has one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
        _hubs[loop].start()
    return _hubs[loop]
