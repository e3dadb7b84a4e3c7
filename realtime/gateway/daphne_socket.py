"""Actions on a socket that ASGI does not offer, done with Daphne's own protocol object.

Runs on Daphne's event loop, which is also Twisted's. The `send` that Daphne gives an application is a partial whose
first argument is that object. Under another server there is none, and everything goes the usual way of ASGI.

Note [Straight to the socket]: a server's frames are not masked, so all sockets of a stream are sent the same bytes.
They are built once and written to each socket directly while nothing waits before them. The kernel may not take all
bytes: the rest goes through Twisted's transport. ASGI would make an event and a coroutine for each message and
socket, and it hides who is slow: here, a transport with bytes waiting is among the reactor's writers. This code
runs more often than any other in the process, and its cost is that of the objects that it touches
(docs/performance.md). So it reads one dict, and no attribute of the transport. `test_socket_writer` and
`test_daphne_socket` verify that the names used here exist.
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

KERNEL_BYTES = 64 * 1024  # of a socket's send buffer: old frames in it would still be sent to a slow client
TRANSPORT_NAMES = ("socket", "reactor", "dataBuffer", "offset", "_tempDataLen")
OPEN = WebSocketProtocol.STATE_OPEN


class CloseCode(IntEnum):
    """Why a socket is closed: the codes of the contract.

    A socket is accepted before it is closed, since a browser is not told the code of one that was never accepted.
    """

    POLICY = 1008  # the client sent something else than a resync, or too much
    TOO_BIG = 1009
    NOT_LOGGED_IN = 4401
    NOT_ALLOWED = 4403
    NO_SUCH_STREAM = 4404
    SLOW_OR_SILENT = 4408
    NOT_READY = 4503  # going away or not ready: the client reconnects with jitter


def protocol_of(send: Send) -> WebSocketProtocol | None:
    """Return the protocol object behind an application's `send`; None under another server."""
    if isinstance(send, partial) and send.args and isinstance(send.args[0], WebSocketProtocol):
        return send.args[0]
    return None


async def close(send: Send, code: CloseCode) -> None:
    """Close the socket with the code. (By ASGI, autobahn raises for 1008 and 1009.)"""
    protocol = protocol_of(send)
    if protocol is None or protocol.state == protocol.STATE_CONNECTING:
        await send({"type": "websocket.close", "code": int(code)})
    else:
        protocol.sendCloseFrame(code=int(code), isReply=False)  # does nothing when it is closing already


def tell_faults(send: Send) -> None:
    """Let a client that breaks the protocol get the reason (1002, 1007, 1009) before its connection is cut."""
    protocol = protocol_of(send)
    if protocol is not None:
        protocol.failByDrop = False


def stop_reading(send: Send) -> None:
    """Read nothing more from a client that floods; a second after the close its connection is cut."""
    protocol = protocol_of(send)
    if protocol is not None and protocol.transport is not None:
        protocol.transport.pauseProducing()


def before_shutdown(send: Send, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Register work to do before this Daphne stops; return False under another server.

    Daphne 4.2.3 is meant to cancel its applications then. That fails for some seconds after each connection that
    ends, while Daphne still keeps the record of that connection.
    """
    protocol = protocol_of(send)
    if protocol is not None:
        reactor = protocol.factory.reactor
        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(work()))
        )
    return protocol is not None


def frame_of(text: str) -> bytes:
    """Return the WebSocket frame that carries the text, as a server sends it."""
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
        """Return how many bytes wait for the kernel to take them."""
        transport = self._transport
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting

    def anything_waits(self) -> bool:
        """Return whether bytes wait for any connection of this process. It reads no socket."""
        return bool(self._writers)

    def offer(self, frame: bytes) -> bool:
        """Send the frame unless bytes still wait, and return whether it did; to a closing socket send nothing."""
        if self._transport in self._writers:
            return False
        if self._protocol.state == OPEN:
            write = self._write  # `self._write()` would look for a method first, each time
            try:
                taken = write(frame)
            except OSError:  # full or gone: the transport finds out which
                taken = 0
            if taken < len(frame):
                self._transport.write(frame[taken:])
        return True

    def send(self, frame: bytes) -> None:
        """Send the frame behind all that waits."""
        if self._protocol.state == OPEN and not self.offer(frame):
            self._transport.write(frame)


def writer_for(send: Send) -> SocketWriter | None:
    """Return the writer for an accepted socket; None where frames can only go the usual way of ASGI."""
    protocol = protocol_of(send)
    if protocol is None or getattr(protocol, "_perMessageCompress", True) is not None:
        return None  # compression changes the bytes
    transport = protocol.transport
    if not all(hasattr(transport, name) for name in TRANSPORT_NAMES):
        return None
    return SocketWriter(protocol) if hasattr(transport.reactor, "_writers") else None
