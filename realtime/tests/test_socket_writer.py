"""The socket writer and backpressure, over a real pair of sockets and Twisted's own transport."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.tcp import Connection

from realtime.gateway import daphne_socket
from realtime.gateway.backpressure import PATIENCE_SECONDS
from realtime.gateway.daphne_socket import TRANSPORT_NAMES, frame_of, writer_for
from realtime.gateway.hub import Hub
from realtime.gateway.subscriber import Subscriber
from realtime.tests.helpers import Shown, frame_keep, frame_make, until, with_hub


class Peer:
    """A browser's end, and the server's protocol and transport at the other."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        for end in (ours, self.theirs):
            end.setblocking(False)
        self.protocol = WebSocketProtocol()
        self.transport = Connection(ours, self.protocol, reactor)
        self.transport.connected = True
        self.protocol.transport = self.transport
        self.protocol.factory = WebSocketServerFactory(reactor=reactor)
        self.protocol.client_addr = self.protocol.path = None
        self.protocol._connectionMade()
        self.protocol.state = WebSocketProtocol.STATE_OPEN
        self.send = partial(Server.handle_reply, self.protocol)
        self.received = b""

    def read(self) -> bytes:
        """Read what has arrived, and let the server write on, until all has arrived."""
        while True:
            try:
                self.received += self.theirs.recv(1 << 20)
            except BlockingIOError:
                if self.waits():
                    self.transport.doWrite()
                else:
                    return self.received

    def waits(self) -> int:
        return len(self.transport.dataBuffer) - self.transport.offset + self.transport._tempDataLen

    def frames(self) -> list[bytes]:
        """Return the payloads of whole frames, and for a close its code; fail on an incomplete frame."""
        data, found = self.read(), []
        while data:
            length, start = data[1], 2
            if length >= 126:
                start = 4 if length == 126 else 10
                length = int.from_bytes(data[2:start])
            assert data[0] in (0x81, 0x88)
            assert len(data) >= start + length
            found.append(data[start : start + length])
            data = data[start + length :]
        return found

    def close(self) -> None:
        self.transport.stopWriting()
        self.transport.socket.close()
        self.theirs.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


# The names relied on -------------------------------------------------------------------------------------
def test_twisted_has_the_names_that_are_relied_on(peer: Peer) -> None:
    assert [name for name in TRANSPORT_NAMES if not hasattr(peer.transport, name)] == []
    assert writer_for(peer.send) is not None


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_a_frame_is_what_autobahn_would_have_sent(length: int, peer: Peer) -> None:
    text = "\u20ac" * (length // 3) + "x" * (length % 3)
    peer.protocol.sendMessage(text.encode())
    assert frame_of(text) == peer.read()


def plain(peer: Peer) -> None:
    peer.send = peer.protocol.sendMessage  # type: ignore[assignment]


def without_a_name(peer: Peer) -> None:
    peer.protocol.transport = object()


def another_reactor(peer: Peer) -> None:
    peer.transport.reactor = SimpleNamespace(removeWriter=lambda _: None)  # type: ignore[assignment]


def compressing(peer: Peer) -> None:
    peer.protocol._perMessageCompress = object()


@pytest.mark.parametrize("change", [plain, without_a_name, another_reactor, compressing])
def test_with_any_difference_there_is_no_writer(change: Callable[[Peer], None], peer: Peer) -> None:
    change(peer)
    assert writer_for(peer.send) is None


# Writing ------------------------------------------------------------------------------------------------
def fill(peer: Peer, frame: bytes) -> int:
    """Return how many frames were accepted before one was refused."""
    writer = writer_for(peer.send)
    assert writer is not None
    return next(count for count in range(10_000) if not writer.offer(frame))


def test_a_frame_reaches_the_socket_at_once(peer: Peer) -> None:
    writer = writer_for(peer.send)
    assert writer is not None
    assert writer.offer(frame_of("state"))
    assert peer.theirs.recv(100) == frame_of("state")
    assert writer.waiting() == 0


def test_a_slow_client_is_noticed_and_gets_whole_frames_only(peer: Peer) -> None:
    text = "x" * 10_000
    taken = fill(peer, frame_of(text))
    assert 2 <= taken <= 100, "limited by the kernel's buffer and not by the memory of the process"
    writer = writer_for(peer.send)
    assert writer is not None
    assert 0 < writer.waiting() <= 10_004
    writer.send(frame_of("behind"))
    assert peer.frames() == [text.encode()] * taken + [b"behind"]
    assert writer.offer(frame_of("again"))


def test_the_transport_is_among_the_writers_only_while_bytes_wait(peer: Peer) -> None:
    """Require it because `offer`, and `backpressure` at all sockets, know only by this that bytes wait."""
    writer = writer_for(peer.send)
    assert writer is not None

    def waits() -> bool:
        assert (peer.transport in writer._writers) == (writer.waiting() > 0) == writer.any_bytes_wait()
        return writer.waiting() > 0

    assert not waits()
    peer.transport.write(frame_of("by autobahn"))
    assert waits()
    peer.transport.doWrite()
    assert not waits()
    fill(peer, frame_of("x" * 10_000))
    assert waits()
    peer.transport.doWrite()  # without success, as the kernel's buffer is full
    peer.theirs.recv(1000)
    peer.transport.doWrite()  # in part, or without success
    writer.send(frame_of("behind"))
    assert waits()
    peer.read()
    assert not waits()


def test_control_without_the_writers_a_waiting_frame_would_be_overtaken(peer: Peer) -> None:
    writer = writer_for(peer.send)
    assert writer is not None
    writer._writers = {}
    peer.transport.write(frame_of("handshake"))
    assert writer.offer(frame_of("update"))
    assert peer.frames() == [b"update", b"handshake"]


def test_a_waiting_frame_is_not_overtaken(peer: Peer) -> None:
    """Let the answer to the handshake still be in the transport when the first snapshot comes."""
    peer.transport.write(frame_of("handshake"))
    writer = writer_for(peer.send)
    assert writer is not None
    assert not writer.offer(frame_of("update"))
    writer.send(frame_of("snapshot"))
    assert peer.frames() == [b"handshake", b"snapshot"]


def test_nothing_is_written_to_a_socket_that_closes(peer: Peer) -> None:
    writer = writer_for(peer.send)
    assert writer is not None
    peer.protocol.state = WebSocketProtocol.STATE_CLOSING
    writer.offer(frame_of("late"))
    writer.send(frame_of("late"))
    assert peer.read() == b""


def test_a_closed_socket_raises_nothing(peer: Peer) -> None:
    writer = writer_for(peer.send)
    assert writer is not None
    peer.theirs.close()
    assert writer.offer(frame_of("state"))
    assert not writer.offer(frame_of("state"))
    peer.theirs = socket.socket()


# Backpressure ------------------------------------------------------------------------------------------
BIG = '"' + "x" * 30_000 + '%s"'


async def not_reading(hub: Hub, peer: Peer) -> Subscriber:
    """Attach a subscriber that reads its snapshot and then none of thirty updates."""
    frame_keep(1, "1")
    subscriber = Subscriber(stream="event.1", send=peer.send)
    await hub.attach(subscriber)
    assert await until(lambda: subscriber.version == 1)
    for version in range(2, 32):
        hub.take(frame_make(version, BIG % version))
        await hub.send_latest(hub.subscriptions["event.1"], [subscriber])
    return subscriber


@pytest.mark.usefixtures("shown")
class TestBackpressure:
    def test_a_client_that_catches_up_is_sent_the_latest_frame_only(self, peer: Peer) -> None:
        async def test(hub: Hub) -> None:
            subscriber = await not_reading(hub, peer)
            assert hub.backpressure.is_slow(subscriber)
            assert peer.waits() < 31_000, "no more than the rest of one frame is kept"
            peer.read()
            assert await until(lambda: subscriber.version == 31)
            states = peer.frames()
            assert states[-1].endswith(b'x31"}')
            assert len(states) < 15
            assert await until(lambda: not hub.backpressure.is_slow(subscriber))

        with_hub(test)

    def test_control_without_the_look_at_waiting_bytes_all_frames_are_kept(
        self, peer: Peer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def always(writer: daphne_socket.SocketWriter, frame: bytes) -> bool:
            writer._transport.write(frame)
            return True

        monkeypatch.setattr(daphne_socket.SocketWriter, "offer", always)

        async def test(hub: Hub) -> None:
            await not_reading(hub, peer)
            assert peer.waits() > 300_000

        with_hub(test)

    def test_a_client_that_stays_slow_is_closed(self, peer: Peer) -> None:
        async def test(hub: Hub) -> None:
            subscriber = await not_reading(hub, peer)
            since = hub.backpressure._slow_since[subscriber]
            await hub.backpressure.check(now=since + PATIENCE_SECONDS - 0.5)
            assert peer.protocol.state == peer.protocol.STATE_OPEN
            await hub.backpressure.check(now=since + PATIENCE_SECONDS + 0.5)
            assert subscriber not in hub.subscribers()
            assert int.from_bytes(peer.frames()[-1][:2]) == 4408

        with_hub(test)

    def test_a_client_that_only_pings_and_never_reads_is_closed_too(self, peer: Peer) -> None:
        async def test(hub: Hub) -> None:
            frame_keep(1, "1")
            subscriber = Subscriber(stream="event.1", send=peer.send)
            await hub.attach(subscriber)
            assert await until(lambda: subscriber.version == 1)
            peer.transport.write(b"\x8a\x00" * 600_000)
            await hub.backpressure.check(now=hub._loop.time() + 1.1)
            assert peer.protocol.state == peer.protocol.STATE_CLOSING

        with_hub(test)


def test_under_another_server_the_same_text_is_sent(shown: Shown) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def test(hub: Hub) -> None:
        frame_keep(1, "1")
        subscriber = Subscriber(stream="event.1", send=send)
        assert subscriber.writer is None
        await hub.attach(subscriber)
        assert await until(lambda: subscriber.version == 1)
        hub.take(frame_make(2, "2"))
        assert await until(lambda: subscriber.version == 2)
        assert [message["type"] for message in sent] == ["websocket.send"] * 2

    with_hub(test)
