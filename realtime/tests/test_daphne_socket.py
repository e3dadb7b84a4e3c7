"""The names of Daphne and autobahn that we rely on. `test_processes` shows that they work."""

from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol

from realtime.gateway import daphne_socket
from realtime.gateway.daphne_socket import CloseCode


def test_the_protocol_is_found_behind_daphnes_send() -> None:
    protocol = WebSocketProtocol()
    assert daphne_socket.protocol_of(partial(Server.handle_reply, protocol)) is protocol


def test_a_socket_that_is_closing_may_be_closed_again_with_any_code() -> None:
    protocol = WebSocketProtocol()
    for state in (protocol.STATE_CLOSING, protocol.STATE_CLOSED):
        protocol.state = state
        async_to_sync(daphne_socket.close)(partial(Server.handle_reply, protocol), CloseCode.POLICY)


def test_under_another_server_a_socket_is_closed_by_asgi() -> None:
    asked: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        asked.append(message)

    async_to_sync(daphne_socket.close)(send, CloseCode.TOO_BIG)
    assert asked == [{"type": "websocket.close", "code": 1009}]
