"""What a real Daphne gives an application: served by one in `test_processes`."""

from typing import Any

from realtime.gateway import daphne_socket


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Will accept a socket and say whether there is a line to it, twice: the plain way, and by the line."""
    await receive()
    await send({"type": "websocket.accept"})
    line = daphne_socket.line_to(send)
    await send({"type": "websocket.send", "text": "plain"})
    if line is not None:
        line.send(daphne_socket.frame_of("line"))
    await receive()
