"""Actions on a socket that ASGI does not offer. They use Daphne's protocol object of the socket.

Runs on Daphne's event loop, which is also Twisted's. Daphne gives an application a function `send`: a partial whose
first argument is the protocol object. Another server gives no such object; then all messages go through ASGI.

Note [Straight to the socket]: a server's frames are not masked, so all sockets of a stream are sent the same bytes.
The bytes are built once. They are written directly to each socket for which no earlier bytes wait. If the kernel
does not take all of them, the rest goes through Twisted's transport. ASGI would make an event and a coroutine for
each message and socket, and would not show which client is slow. Twisted shows it: a transport for which bytes wait
is among the reactor's writers.

This code runs more often than any other in the process. Each object that it reads costs time (docs/performance.md),
so it reads one dict and no attribute of the transport. The names used here are private to Daphne and Twisted;
`test_socket_writer` and `test_daphne_socket` verify that they exist.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from enum import IntEnum
from functools import partial
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.defer import Deferred

Send = Callable[[dict[str, Any]], Awaitable[None]]

KERNEL_BYTES = 64 * 1024  # a socket's send buffer. A larger one would hold more old frames for a slow client
TRANSPORT_NAMES = ("socket", "reactor", "dataBuffer", "offset", "_tempDataLen")
OPEN = WebSocketProtocol.STATE_OPEN


class CloseCode(IntEnum):
    """The codes that say why a socket is closed (docs/realtime.md).

    Each socket is accepted before it is closed, because a browser learns the code only of an accepted socket.
    """

    POLICY = 1008  # the client sent something else than a resync, or too many frames
    TOO_BIG = 1009
    NOT_LOGGED_IN = 4401
    NOT_ALLOWED = 4403
    NO_SUCH_STREAM = 4404
    SLOW_OR_SILENT = 4408
    NOT_READY = 4503  # the server stops, is not ready, or has too many sockets: reconnect after a random time


def protocol_of(send: Send) -> WebSocketProtocol | None:
    """Return the protocol object behind an application's `send`; None under another server."""
    if isinstance(send, partial) and send.args and isinstance(send.args[0], WebSocketProtocol):
        return send.args[0]
    return None


async def close(send: Send, code: CloseCode) -> None:
    """Close the socket with the code. Daphne's way through ASGI would raise an error for 1008 and 1009."""
    protocol = protocol_of(send)
    if protocol is None or protocol.state == protocol.STATE_CONNECTING:
        await send({"type": "websocket.close", "code": int(code)})
    else:
        protocol.sendCloseFrame(code=int(code), isReply=False)  # does nothing when it is closing already


def explain_protocol_errors(send: Send) -> None:
    """From now on, close the socket with a code (1002, 1007, 1009) if its client breaks the WebSocket protocol."""
    protocol = protocol_of(send)
    if protocol is not None:
        protocol.failByDrop = False


def stop_reading(send: Send) -> None:
    """Read nothing more from a client that sends too much. The connection is cut a second after the close."""
    protocol = protocol_of(send)
    if protocol is not None and protocol.transport is not None:
        protocol.transport.pauseProducing()


def before_shutdown(send: Send, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Register work to do before this Daphne stops; return False under another server.

    Daphne 4.2.3 should cancel its applications when it stops. It fails to do so if any connection has ended in the
    last seconds, because it still has a record of this connection.
    """
    protocol = protocol_of(send)
    if protocol is not None:
        reactor = protocol.factory.reactor
        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(work()))
        )
    return protocol is not None


def frame_of(text: str) -> bytes:
    """Return the bytes of an unmasked WebSocket frame with this text."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2) + payload
    return b"\x81\x7f" + length.to_bytes(8) + payload


class SocketWriter:
    """Writes frames to one open socket. See Note [Straight to the socket]."""

    __slots__ = ("_protocol", "_transport", "_write", "_writers")

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._write = self._transport.socket.send
        self._writers = self._transport.reactor._writers
        self._transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def waiting(self) -> int:
        """Return how many bytes wait in this process until the kernel takes them."""
        transport = self._transport
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting

    def any_bytes_wait(self) -> bool:
        """Return whether bytes wait for any connection of this process, without a look at each."""
        return bool(self._writers)

    def offer(self, frame: bytes) -> bool:
        """Send the frame and return True. If earlier bytes still wait, send nothing and return False.

        For a socket that is closing, send nothing and return True.
        """
        if self._transport in self._writers:
            return False
        if self._protocol.state == OPEN:
            write = self._write  # quicker than `self._write()`, which would look for a method first
            try:
                taken = write(frame)
            except OSError:  # the buffer is full, or the connection is gone: the transport finds out which
                taken = 0
            if taken < len(frame):
                self._transport.write(frame[taken:])
        return True

    def send(self, frame: bytes) -> None:
        """Send the frame after all bytes that wait."""
        if self._protocol.state == OPEN and not self.offer(frame):
            self._transport.write(frame)


def writer_for(send: Send) -> SocketWriter | None:
    """Return the writer for an accepted socket; None if its frames have to go through ASGI."""
    protocol = protocol_of(send)
    if protocol is None or getattr(protocol, "_perMessageCompress", True) is not None:
        return None  # compression changes the bytes
    transport = protocol.transport
    if not all(hasattr(transport, name) for name in TRANSPORT_NAMES):
        return None
    return SocketWriter(protocol) if hasattr(transport.reactor, "_writers") else None
