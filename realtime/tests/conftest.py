"""The live side's tests: real servers, and a projection that shows what a test puts into it."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from redis import Redis

from overlord.kernel import redis_client
from realtime import store, streams
from realtime.gateway.access import Credential
from realtime.gateway.hub import Hub
from realtime.gateway.subscriber import Viewer
from realtime.store import Frame
from realtime.worker import flush


@pytest.fixture(autouse=True)
def valkey() -> Iterator[Redis]:
    """The tests' Valkey, empty, and a breaker that is closed."""
    connection = redis_client.connection()
    connection.flushdb()
    store.breaker.succeeded()
    yield connection
    connection.flushdb()
    store.breaker.succeeded()


class Shown:
    """A projection: what is in `states` is there, what is not does not exist."""

    def __init__(self) -> None:
        self.states: dict[int, Any] = {}
        self.calls: list[list[int]] = []
        self.while_reading: Callable[[], None] = lambda: None

    def project(self, ids: Collection[int]) -> dict[int, Any]:
        self.calls.append(sorted(ids))
        read = {stream_id: self.states[stream_id] for stream_id in ids if stream_id in self.states}
        self.while_reading()
        return read


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What the streams of kind "event" (public) show."""
    projection = Shown()
    kind = streams.Kind(access="public", project=projection.project)
    monkeypatch.setitem(streams._kinds, "event", kind)
    return projection


class Screen:
    """What one socket was sent."""

    def __init__(self, stream: str, credential: Credential | None = None) -> None:
        self.messages: list[dict[str, Any]] = []
        self.viewer = Viewer(stream=stream, send=self._send, credential=credential)

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
    """Will wait until it holds; False when it does not within the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not holds():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.01)
    return True


def with_hub(test: Callable[[Hub], Awaitable[Any]], hub_class: type[Hub] = Hub) -> Any:
    """Will run the test beside a started hub and give its answer."""

    async def run() -> Any:
        hub = hub_class()
        hub.start()
        try:
            return await test(hub)
        finally:
            await hub.stop()

    return async_to_sync(run)()


def made(version: int, data: str | None, stream: str = "event.1") -> Frame:
    return Frame(stream=stream, version=version, data=data, fingerprint=data or "")


def keep(version: int, data: str | None, stream: str = "event.1") -> None:
    """What a drain keeps; a test that does not send it has lost it on the way."""
    store.frames_store([made(version, data, stream)])


@contextmanager
def drains() -> Iterator[None]:
    """What worker and beat do, beside the block."""
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


@pytest.fixture
def draining() -> Iterator[None]:
    """What worker and beat do, as long as the test runs."""
    with drains():
        yield
