"""Many WebSocket clients in one thread, which read and count and do nothing else: the servers are measured."""

import base64
import os
import selectors
import socket
import time

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


class Client:
    """One socket. `bytes` are whole frames' remains; `messages` counts the updates that came."""

    def __init__(self, port: int, path: str, nth: int) -> None:
        self.socketio = path == SOCKET_IO
        # An address of its own for every hundred: ours allows so many to one.
        here = (f"127.0.0.{2 + nth // 100}", 0)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=here)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.bytes = b""
        while b"\r\n\r\n" not in self.bytes:
            self.bytes += self.socket.recv(65536)
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head)
        self.messages = self.snapshots = 0
        self.last = b""
        self.socket.setblocking(False)
        self._parse(self.bytes)
        if self.socketio:
            self.say(b"40")

    def say(self, text: bytes) -> None:
        """Will send a short text; its mask is of zeros."""
        self.socket.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)

    def read(self) -> None:
        """Will count what has come."""
        try:
            self._parse(self.bytes + self.socket.recv(1 << 20))
        except BlockingIOError:
            return

    def _parse(self, data: bytes) -> None:
        at = 0
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start = at + (4 if length == 126 else 10)
                length = int.from_bytes(data[at + 2 : start])
            if len(data) < start + length:
                break
            if data[at] == 0x81:
                self._count(data[start : start + length])
            at = start + length
        self.bytes = data[at:]

    def _count(self, text: bytes) -> None:
        if self.socketio and text[:1] == b"2":
            self.say(b"3")
        elif b'"type":"update"' in text or b'"type": "update"' in text:
            self.messages += 1
            self.last = text
        elif b'"type":"snapshot"' in text:
            self.snapshots += 1


class Crowd:
    """All clients of one arm."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.clients = [Client(port, path, nth) for nth in range(count)]
        for client in self.clients:
            self.selector.register(client.socket, selectors.EVENT_READ, client)

    def read_until(self, at: float) -> None:
        """Will read what comes until `time.monotonic()` is at that time."""
        while (left := at - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                key.data.read()

    def messages(self) -> int:
        """Will count the updates received."""
        return sum(client.messages for client in self.clients)

    def close(self) -> None:
        """Will hang up."""
        self.selector.close()
        for client in self.clients:
            client.socket.close()
