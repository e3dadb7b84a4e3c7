"""An application that tries the socket writer under a real Daphne, for `test_processes`."""

from typing import Any

from realtime.gateway import daphne_socket


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept a socket and send two texts: one by ASGI, and one by the writer if there is one."""
    await receive()
    await send({"type": "websocket.accept"})
    writer = daphne_socket.writer_for(send)
    await send({"type": "websocket.send", "text": "plain"})
    if writer is not None:
        writer.send(daphne_socket.frame_of("writer"))
    await receive()
