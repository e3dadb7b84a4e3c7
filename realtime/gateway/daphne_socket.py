"""What ASGI does not let an application do with a socket, done with Daphne's own protocol object.

The `send` that Daphne gives an application is a partial whose first argument is that object. Under another
server there is none, and everything is done the plain way.

Note [Straight to the socket]: a server's frames are unmasked, so all sockets of a stream are sent the same bytes.
They are built once and written to each socket at once when nothing waits before them; what the kernel does not
take goes through Twisted's transport. That costs a quarter of ASGI's way, and it shows what ASGI hides: a transport
with bytes waiting belongs to a reader who is slow, and is among the reactor's writers for as long. The kernel's
work for a message leaves little in the processor's caches, so what is dear here is each object that is looked at:
hence that one small dict, and no attributes of the transport. `test_line` pins the names that this relies on.
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

KERNEL_BYTES = 64 * 1024  # of a socket's send buffer: what a slow reader would be sent though it is old
TRANSPORT_NAMES = ("socket", "reactor", "dataBuffer", "offset", "_tempDataLen")
OPEN = WebSocketProtocol.STATE_OPEN


class CloseCode(IntEnum):
    """Why a socket is closed: the codes of the contract.

    A socket is accepted first and closed afterwards: a browser sees no code of one that was refused before.
    """

    POLICY = 1008  # the client sent what is not spoken here
    TOO_BIG = 1009
    NOT_LOGGED_IN = 4401
    NOT_ALLOWED = 4403
    NO_SUCH_STREAM = 4404
    SLOW_OR_SILENT = 4408
    NOT_READY = 4503  # going away or not ready: the client comes again, with jitter


def protocol_of(send: Send) -> WebSocketProtocol | None:
    """Will give the protocol object behind an application's `send`; None under another server."""
    if isinstance(send, partial) and send.args and isinstance(send.args[0], WebSocketProtocol):
        return send.args[0]
    return None


async def close(send: Send, code: CloseCode) -> None:
    """Will close the socket with the code. Asked by ASGI, autobahn raises for 1008 and 1009."""
    protocol = protocol_of(send)
    if protocol is None or protocol.state == protocol.STATE_CONNECTING:
        await send({"type": "websocket.close", "code": int(code)})
    else:
        protocol.sendCloseFrame(code=int(code), isReply=False)  # does nothing when it is closed already


def tell_faults(send: Send) -> None:
    """Will have a client that breaks the protocol told so (1002, 1007, 1009) before its line is cut."""
    protocol = protocol_of(send)
    if protocol is not None:
        protocol.failByDrop = False


def hear_no_more(send: Send) -> None:
    """Will read nothing more from a client that floods; a second after the close it is cut off."""
    protocol = protocol_of(send)
    if protocol is not None and protocol.transport is not None:
        protocol.transport.pauseProducing()


def before_shutdown(send: Send, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Will have the work done before this Daphne stops; False under another server.

    Daphne 4.2.3 cancels its applications then, but fails to, and tells nobody, while it keeps the record of a
    connection that it has half taken apart: for a second after each socket or request that ended.
    """
    protocol = protocol_of(send)
    if protocol is not None:
        reactor = protocol.factory.reactor
        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(work()))
        )
    return protocol is not None


def frame_of(text: str) -> bytes:
    """Will build the WebSocket frame that carries the text, as a server sends it."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2) + payload
    return b"\x81\x7f" + length.to_bytes(8) + payload


class Line:
    """The line to one open socket. See Note [Straight to the socket]."""

    __slots__ = ("_protocol", "_transport", "_write", "_writers")

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._write = self._transport.socket.send
        self._writers = self._transport.reactor._writers
        self._transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def waiting(self) -> int:
        """Will say how many bytes wait for the kernel to take them."""
        transport = self._transport
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting

    def offer(self, frame: bytes) -> bool:
        """Will send the frame unless others still wait; says whether it did. What closes is sent nothing more."""
        if self._transport in self._writers:
            return False
        if self._protocol.state == OPEN:
            write = self._write  # called as `self._write()`, Python would look for a method first, each time
            try:
                taken = write(frame)
            except OSError:  # full, or gone: the transport finds out which
                taken = 0
            if taken < len(frame):
                self._transport.write(frame[taken:])
        return True

    def send(self, frame: bytes) -> None:
        """Will send the frame behind all that waits."""
        if self._protocol.state == OPEN and not self.offer(frame):
            self._transport.write(frame)


def line_to(send: Send) -> Line | None:
    """Will give the line to an accepted socket; None where frames can only go the plain way."""
    protocol = protocol_of(send)
    if protocol is None or getattr(protocol, "_perMessageCompress", True) is not None:
        return None  # compression changes the bytes
    transport = protocol.transport
    if not all(hasattr(transport, name) for name in TRANSPORT_NAMES):
        return None
    return Line(protocol) if hasattr(transport.reactor, "_writers") else None
