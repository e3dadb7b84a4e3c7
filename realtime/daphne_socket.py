"""What ASGI does not let an application do with a socket, done with Daphne's own protocol object.

The `send` that Daphne gives an application is a partial whose first argument is that object. Under another
server there is none, and everything is done the plain way.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

from realtime.close_codes import CloseCode

Send = Callable[[dict[str, Any]], Awaitable[None]]


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
