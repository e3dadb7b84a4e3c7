"""Faulty and hostile clients, on raw sockets: each is closed with the right code, and the others are served."""

import base64
import contextlib
import itertools
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime import publish
from realtime.tests.daphne import Daphne
from realtime.tests.helpers import Shown

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

BIG = "x" * 20_000


@pytest.fixture
def options() -> list[str]:
    """Return options of Daphne."""
    return []


@pytest.fixture
def daphne(
    transactional_db: None,
    flushing: None,
    shown: Shown,
    daphne_make: Callable[..., Daphne],
    options: list[str],
) -> Iterator[Daphne]:
    shown.states = {1: {"left": 5}}
    started = daphne_make(*options)
    try:
        started.wait_ready()
        yield started
    finally:
        for client in Raw.opened:
            client.file.close()
            client.socket.close()
        Raw.opened.clear()
        started.stop()


class Raw:
    """A client that sends whatever bytes it is given."""

    opened: ClassVar[list["Raw"]] = []

    def __init__(self, daphne: Daphne, path: str = "/ws/events/1/", **headers: str | list[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", daphne.port), timeout=60)
        here = f"127.0.0.1:{daphne.port}"
        given = {"Host": here, "Origin": f"http://{here}", **headers}
        lines = [f"GET {path} HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        for name, value in given.items():
            lines += [f"{name}: {each}" for each in ([value] if isinstance(value, str) else value)]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin1"))
        self.file = self.socket.makefile("rb")
        self.opened.append(self)
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass

    def frame(self) -> tuple[int, bytes]:
        """Return the opcode and payload of the next frame; (0, b"") at the end."""
        with contextlib.suppress(ConnectionError):
            if head := self.file.read(2):
                length = head[1]
                if length >= 126:
                    length = int.from_bytes(self.file.read(2 if length == 126 else 8))
                return head[0] & 15, self.file.read(length)
        return 0, b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def code(self) -> int:
        """Return the next close code, skipping all other frames; 1006 without one."""
        if self.status != 101:
            return self.status
        while True:
            opcode, payload = self.frame()
            if opcode in (0, 8):
                return int.from_bytes(payload[:2]) if opcode == 8 else 1006


def masked(payload: bytes, first: int = 0x81) -> bytes:
    """Return a client's frame; its mask is zeros."""
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = bytes((first, 0xFE)) + length.to_bytes(2)
    else:
        head = bytes((first, 0xFF)) + length.to_bytes(8)
    return head + bytes(4) + payload


RESYNC = b'{"type":"resync"}'
FAULTS = {
    "binary": (masked(b"\x00", 0x82), 1008),
    "unknown type": (masked(b'{"type":"subscribe"}'), 1008),
    "deep JSON": (masked(b"[" * 4000), 1008),
    "not a number": (masked(b"NaN"), 1008),
    "huge number": (masked(b"9" * 4000), 1008),
    "more than 4 KiB": (masked(b" " * 4097), 1009),
    "more than 64 KiB": (masked(b" " * 65537), 1009),
    "a frame said to be of 2**62 bytes": (b"\x81\xff" + (2**62).to_bytes(8) + bytes(4), 1009),
    "fragments without end": (masked(b"x" * 9000, 0x01) + masked(b"x" * 9000, 0x00) * 8, 1009),
    "a continuation of nothing": (masked(b"x", 0x80), 1002),
    "bad UTF-8": (masked(b"\xff\xfe"), 1007),
    "a reserved opcode": (masked(b"x", 0x83), 1002),
    "a reserved bit": (masked(b"x", 0xC1), 1002),
    "unmasked": (b"\x81\x02hi", 1002),
    "a long ping": (masked(b"x" * 126, 0x89), 1002),
    "a flood of resyncs": (masked(RESYNC) * 3000, 1008),
}


def test_each_faulty_client_is_closed_with_its_code_and_the_others_are_served(
    daphne: Daphne, shown: Shown
) -> None:
    good = Raw(daphne)
    assert json.loads(good.frame()[1])["data"] == {"left": 5}
    found = {}
    for name, (bytes_sent, _) in FAULTS.items():
        faulty = Raw(daphne)
        faulty.frame()
        faulty.send(bytes_sent)
        found[name] = faulty.code()
    for name, headers, path in [
        ("no origin of a page", {"Origin": "null"}, "/ws/events/1/"),
        (
            "two origins",
            {"Origin": [f"http://127.0.0.1:{daphne.port}", "http://evil.example"]},
            "/ws/events/1/",
        ),
        ("an impossible port", {"Origin": "http://127.0.0.1:99999"}, "/ws/events/1/"),
        ("a foreign id", {}, "/ws/events/999/"),
        ("an id that is no number", {}, "/ws/events/1e3/"),
        ("a private stream without a login", {}, "/ws/me/"),
    ]:
        found[name] = Raw(daphne, path, **headers).code()  # type: ignore[arg-type]
    codes = {name: code for name, (_, code) in FAULTS.items()}
    codes |= {"no origin of a page": 4403, "a foreign id": 4404, "an id that is no number": 4404}
    codes |= {"a private stream without a login": 4401 if "me" in _kinds() else 4404}
    refused = {"two origins": {400, 4403}, "an impossible port": {400, 4403}}
    assert all(found.pop(name) in allowed for name, allowed in refused.items())
    assert found == codes
    shown.states = {1: {"left": 4}}
    publish.streams_mark(streams=["event.1"])
    while (frame := good.frame())[0] != 1:
        assert frame[0] == 9
        good.send(masked(b"", 0x8A))
    assert json.loads(frame[1])["data"] == {"left": 4}


def _kinds() -> set[str]:
    from realtime import streams

    return set(streams._definitions)


def test_random_bytes_and_half_handshakes_harm_no_other_client(daphne: Daphne) -> None:
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.binary(max_size=300), max_size=4), st.booleans())
    def speak(pieces: list[bytes], handshake: bool) -> None:
        if handshake:
            client = Raw(daphne)
            for piece in pieces:
                client.send(piece)
            client.socket.close()
        else:
            with (
                socket.create_connection(("127.0.0.1", daphne.port), timeout=5) as half,
                contextlib.suppress(OSError),
            ):
                half.sendall(b"GET /ws/events/1/ HTTP/1.1\r\nHost: x\r\n" + b"".join(pieces))

    speak()
    assert json.loads(Raw(daphne).frame()[1])["data"] == {"left": 5}


@pytest.mark.parametrize("options", [["--ping-interval", "1", "--ping-timeout", "2"]], ids=["soon"])
def test_a_client_that_answers_no_ping_is_dropped(daphne: Daphne) -> None:
    silent = Raw(daphne)
    assert silent.code() == 1006, "the connection is cut: a client that answers no ping reads no code either"


def resident(daphne: Daphne) -> int:
    """Return the memory of the process, in MB."""
    [line] = [
        line
        for line in Path(f"/proc/{daphne.process.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) // 1024


def test_clients_that_stop_reading_take_no_memory_and_delay_no_other(daphne: Daphne, shown: Shown) -> None:
    stopped = [Raw(daphne) for _ in range(30)]
    good = Raw(daphne)
    numbers = itertools.count()
    before = resident(daphne)

    def change_and_see(times: int) -> None:
        for _ in range(times):
            shown.states = {1: {"left": next(numbers), "text": BIG}}
            publish.streams_mark(streams=["event.1"])
            wanted = shown.states[1]["left"]
            while True:
                opcode, payload = good.frame()
                assert opcode, "the good client must not be cut off"
                if opcode == 9:
                    good.send(masked(payload, 0x8A))
                elif opcode == 1 and json.loads(payload).get("data", {}).get("left") == wanted:
                    break

    change_and_see(60)
    grown = resident(daphne) - before
    print(f"\n30 stopped clients, 60 frames of 20 KB: {grown} MB more")  # noqa: T201
    assert grown < 20, "all that was sent is 36 MB"
    assert len(stopped) == 30
