"""Helpers for tests of live state: a projection, subscribers, clients of a socket, a running hub."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client

from overlord.accounts.models import User
from realtime import store
from realtime.gateway import hub
from realtime.gateway.access import Credential
from realtime.gateway.hub import Hub
from realtime.gateway.routing import websockets
from realtime.gateway.subscriber import Subscriber
from realtime.store import Frame
from realtime.worker import flush

PATIENCE = 30.0  # seconds to wait for what must happen, however busy the machine is
HERE = {"host": "testserver:8080", "origin": "http://testserver:8080"}


class Shown:
    """A projection: the streams in `states` exist, and no others."""

    def __init__(self) -> None:
        self.states: dict[int, Any] = {}
        self.calls: list[list[int]] = []
        self.while_reading: Callable[[], None] = lambda: None

    def project(self, ids: Collection[int], *, now: datetime) -> dict[int, Any]:
        self.calls.append(sorted(ids))
        read = {stream_id: self.states[stream_id] for stream_id in ids if stream_id in self.states}
        self.while_reading()
        return read


class Screen:
    """The frames that one subscriber got."""

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
        states = [frame["data"] for frame in self.frames if frame["type"] in ("snapshot", "update")]
        return bool(states) and states[-1] == data


async def until(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
    """Wait until the condition holds; return False if it does not within the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not holds():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.01)
    return True


def with_hub(test: Callable[[Hub], Awaitable[Any]], hub_class: type[Hub] = Hub) -> Any:
    """Run the test while a hub runs, and return its result."""

    async def run() -> Any:
        tested = hub_class()
        tested.start()
        try:
            return await test(tested)
        finally:
            await tested.stop()

    return async_to_sync(run)()


class Untold(Hub):
    """A hub that does not heal by itself: a test alone calls `healing.heal`, with times that it chooses."""

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        if step != self.healing.step:
            await super()._repeat(step)


def frame_make(version: int, data: str | None, stream: str = "event.1") -> Frame:
    return Frame(stream=stream, version=version, data=data, fingerprint=data or "")


def frame_keep(version: int, data: str | None, stream: str = "event.1") -> None:
    """Store a frame as a flush does. A test that does not send it simulates a lost message."""
    store.frames_store([frame_make(version, data, stream)])


@contextmanager
def flushes() -> Iterator[None]:
    """Flush repeatedly, as worker and beat do, while the block runs."""
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


class Socket:
    """The client's end of a socket, for a test that runs on an event loop."""

    def __init__(
        self, path: str, headers: dict[str, str] | None = None, offers: list[str] | None = None
    ) -> None:
        raw = [
            (name.encode(), value.encode()) for name, value in (HERE if headers is None else headers).items()
        ]
        self._end = WebsocketCommunicator(websockets, path, headers=raw, subprotocols=offers)

    async def open(self) -> str | None:
        """Connect, which the server never refuses, and return the chosen subprotocol."""
        accepted, chosen = await self._end.connect(timeout=PATIENCE)
        assert accepted
        return str(chosen) if chosen else None

    async def code(self) -> int:
        message = await self._end.receive_output(timeout=PATIENCE)
        assert message["type"] == "websocket.close", message
        return int(message["code"])

    async def frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = await self._end.receive_json_from(timeout=PATIENCE)
        return frame

    async def send(self, **frame: str | bytes) -> None:
        await self._end.send_input({"type": "websocket.receive", **frame})

    async def close(self) -> None:
        await self._end.disconnect()


def on_a_loop(test: Callable[[], Awaitable[Any]]) -> Any:
    """Run the test, then stop its loop's hub."""

    async def run() -> Any:
        try:
            return await test()
        finally:
            await hub.current().stop()

    return async_to_sync(run)()


def logged_in(user: User) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {**HERE, "cookie": f"other=1; sessionid={client.cookies['sessionid'].value}"}
