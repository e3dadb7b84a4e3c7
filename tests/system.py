"""A client of the running system, as a buyer's program: by HTTP and WebSocket.

Note [One thread for a connection]: the sockets are asyncio's. Their loop runs in a separate thread, and the tests
wait for it. `websockets.sync` reads a connection in one thread and writes to it in another, which OpenSSL forbids:
over TLS 1.3 a client reads the server's session tickets while it writes its request, and the handshake may hang.
"""

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from overlord.embedded import processes
from overlord.embedded.processes import Child, Program
from tests import live_contract

Found = TypeVar("Found")
HOLD_SECONDS = 300  # longer than any test takes, also on a busy machine
NOT_READY = 4503
PATIENCE = 60.0  # the longest wait; only a failing test waits so long
LINE_SECONDS = 30.0  # longer than websockets' own time-outs, so that a test reports one of these
_numbers = itertools.count(1)


def eventually(look: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
    """Wait until `look` returns something true, and return it."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def on_loop(work: Coroutine[Any, Any, Found], *, seconds: float) -> Found:
    """Run the coroutine on the loop of all sockets; return its result. Note [One thread for a connection]."""
    return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), _loop()).result()


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="sockets", daemon=True).start()
    return loop


@dataclass
class System:
    """The running processes, behind one port."""

    port: int
    programs: list[Program]
    children: list[Child]
    logs: Path
    opened: ExitStack = field(default_factory=ExitStack)  # clients and sockets of the present test

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Return the certificates of this machine, which all clients share, because reading them takes long."""
        return ssl.create_default_context()

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Request a page without a log-in."""
        return httpx.get(self.url + path, verify=self.trust, **options)

    def child(self, name: str) -> Child:
        return next(child for child in self.children if child.program.name == name)

    def restart(self, name: str) -> None:
        """Start a killed process again."""
        [described] = [described for described in self.programs if described.name == name]
        child = processes.start(described, self.logs)
        self.children[self.children.index(self.child(name))] = child
        child.wait_ready()

    def revive(self) -> None:
        """Start ended processes again, as `bin/up` does: a worker may end by itself when it loses Redis."""
        for child in [child for child in self.children if not child.running]:
            self.restart(child.program.name)

    def ready(self) -> bool:
        """Return whether the whole system can sell."""
        return self.get("/readyz").status_code == 200

    def buyer(self) -> "Buyer":
        """Sign up a new buyer and log in, as the README does."""
        name = f"buyer-{time.time_ns()}-{next(_numbers)}"
        http = self.opened.enter_context(httpx.Client(base_url=self.url, timeout=30, verify=self.trust))
        body = {"username": name, "email": f"{name}@example.org", "password": "correct horse"}
        assert http.post("/register/", json=body).status_code == 201
        token = http.post("/api-auth/login/", json=body).json()["token"]
        http.cookies.clear()
        http.headers["Authorization"] = f"Token {token}"
        return Buyer(self, http, token)

    def watch(self, path: str, *, token: str | None = None) -> "Screen":
        """Open a live stream."""
        headers = {"Authorization": f"Token {token}"} if token else None

        async def connected() -> ClientConnection:
            return await connect(
                self.url.replace("http", "ws", 1) + path,
                origin=None if token else self.url,  # type: ignore[arg-type]
                additional_headers=headers,
                subprotocols=["overlord.v1"],  # type: ignore[list-item]
                proxy=None,
            )

        def opened() -> ClientConnection:
            socket = on_loop(connected(), seconds=LINE_SECONDS)
            self.opened.callback(lambda: on_loop(socket.close(), seconds=LINE_SECONDS))
            return socket

        return Screen(opened)


class Screen:
    """A viewer's state of one stream, replaced by each frame with a higher version.

    It connects again when the server says that it is not ready, as a client should.
    """

    def __init__(self, opened: Callable[[], ClientConnection]) -> None:
        self._opened = opened
        self.socket = opened()
        self.version = 0
        self.data: Any = None
        self.frames: list[dict[str, Any]] = []

    def hear(self, *, seconds: float = PATIENCE) -> str | bytes:
        """Wait for the next message. See Note [One thread for a connection]."""
        until = time.monotonic() + seconds
        while True:
            try:
                return on_loop(self.socket.recv(), seconds=max(0.1, until - time.monotonic()))
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != NOT_READY or time.monotonic() > until:
                    raise
                self.socket = self._opened()

    def take(self, *, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the next frame."""
        frame: dict[str, Any] = json.loads(self.hear(seconds=seconds))
        live_contract.check(frame)
        self.frames.append(frame)
        if frame["type"] in ("snapshot", "update") and frame["version"] > self.version:
            self.version, self.data = frame["version"], frame["data"]
        return frame

    def until(self, shows: Callable[[Any], bool], *, seconds: float = PATIENCE) -> Any:
        """Wait until `shows` is true of the state, and return the state."""
        until = time.monotonic() + seconds
        while self.data is None or not shows(self.data):
            self.take(seconds=max(0.01, until - time.monotonic()))
        return self.data


@dataclass
class Buyer:
    """A buyer with an account."""

    system: System
    http: httpx.Client
    token: str

    def reserve(self, ticket_type: int, amount: int = 1) -> httpx.Response:
        return self.http.post("/event/reservations/", json={"ticket_type": ticket_type, "amount": amount})

    def reservation(self, pk: int) -> httpx.Response:
        return self.http.get(f"/event/reservations/{pk}/")

    def open_payment(self, reservation: int) -> dict[str, Any]:
        made: dict[str, Any] = self.http.post(
            "/payment/payments/", json={"reservation_id": reservation}
        ).json()
        return made

    def pay(self, payment: int, token: str = "ok") -> httpx.Response:
        return self.http.post(f"/payment/payments/{payment}/pay/", json={"token": token})

    def payment_when(self, payment: int, *statuses: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until a payment has one of the statuses."""

        def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.http.get(f"/payment/payments/{payment}/").json()
            return shown if shown["payment_status"] in statuses else None

        found = eventually(look, seconds=seconds)
        assert found is not None
        return found

    def watch_me(self) -> Screen:
        return self.system.watch("/ws/me/", token=self.token)
