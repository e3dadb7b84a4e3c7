"""What a real Daphne gives an application: served by one in `test_processes`."""

from typing import Any

from realtime.gateway import daphne_socket


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Will accept a socket and say whether there is a writer to it, twice: the plain way, and by the writer."""
    await receive()
    await send({"type": "websocket.accept"})
    writer = daphne_socket.writer_for(send)
    await send({"type": "websocket.send", "text": "plain"})
    if writer is not None:
        writer.send(daphne_socket.frame_of("writer"))
    await receive()
