"""Serve the least that sends a message to many sockets: one call of the kernel for each, and nothing else.

It forgets a socket when the socket sends something or ends, keeps no state of sockets, and never waits for a slow
one. So no server that sends its frames one by one can cost less. Arguments: port, Valkey's port and password,
channel.
"""

import asyncio
import base64
import hashlib
import re
import socket
import sys

import redis.asyncio

from realtime.gateway.daphne_socket import frame_of

_KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)", re.IGNORECASE)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


async def serve(port: int, valkey: int, password: str, channel: str) -> None:
    """Accept sockets, and send each message of the channel to all of them."""
    sockets: set[socket.socket] = set()
    accepting = asyncio.create_task(_accept(port, sockets))
    async with redis.asyncio.Redis(port=valkey, password=password) as client, client.pubsub() as messages:
        await messages.subscribe(channel)
        async for message in messages.listen():
            if message["type"] == "message":
                frame = frame_of(message["data"].decode())
                for each in sockets:
                    each.send(frame)
    accepting.cancel()


async def _accept(port: int, sockets: set[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)
        while True:
            client, _ = await loop.sock_accept(listener)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                part = await loop.sock_recv(client, 65536)
                if not part:
                    break
                request += part
            if key := _KEY.search(request):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_sendall(client, _answer(key[1]))
                sockets.add(client)
                loop.add_reader(client, _forget, client, sockets)


def _forget(client: socket.socket, sockets: set[socket.socket]) -> None:
    asyncio.get_running_loop().remove_reader(client)
    sockets.discard(client)
    client.close()


def _answer(key: bytes) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
