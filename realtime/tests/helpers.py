"""What several tests of the live side share: a projection, a subscriber without a socket, and a running hub."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections

from realtime import store
from realtime.gateway.access import Credential
from realtime.gateway.hub import Hub
from realtime.gateway.subscriber import Subscriber
from realtime.store import Frame
from realtime.worker import flush


class Shown:
    """A projection: what is in `states` exists, what is not does not."""

    def __init__(self) -> None:
        self.states: dict[int, Any] = {}
        self.calls: list[list[int]] = []
        self.while_reading: Callable[[], None] = lambda: None

    def project(self, ids: Collection[int]) -> dict[int, Any]:
        self.calls.append(sorted(ids))
        read = {stream_id: self.states[stream_id] for stream_id in ids if stream_id in self.states}
        self.while_reading()
        return read


class Screen:
    """What one subscriber was sent."""

    def __init__(self, stream: str, credential: Credential | None = None) -> None:
        self.messages: list[dict[str, Any]] = []
        self.subscriber = Subscriber(stream=stream, send=self._send, credential=credential)

    async def _send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(message["text"]) for message in self.messages if "text" in message]

    @property
    def codes(self) -> list[int]:
        return [message["code"] for message in self.messages if "code" in message]

    def shows(self, data: Any) -> bool:
        states = [frame["data"] for frame in self.frames if "data" in frame]
        return bool(states) and states[-1] == data


async def until(holds: Callable[[], bool], *, seconds: float = 5.0) -> bool:
    """Wait until it holds; return False when it does not within the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not holds():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.01)
    return True


def with_hub(test: Callable[[Hub], Awaitable[Any]], hub_class: type[Hub] = Hub) -> Any:
    """Run the test beside a started hub and return its result."""

    async def run() -> Any:
        hub = hub_class()
        hub.start()
        try:
            return await test(hub)
        finally:
            await hub.stop()

    return async_to_sync(run)()


def frame_make(version: int, data: str | None, stream: str = "event.1") -> Frame:
    return Frame(stream=stream, version=version, data=data, fingerprint=data or "")


def frame_keep(version: int, data: str | None, stream: str = "event.1") -> None:
    """Keep a frame as a flush does; a test that does not send it has lost it on its way."""
    store.frames_store([frame_make(version, data, stream)])


@contextmanager
def flushes() -> Iterator[None]:
    """Flush again and again, as worker and beat do, while the block runs."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            flush.flush()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
