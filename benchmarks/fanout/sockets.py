"""Many WebSocket clients in one thread, which only read and count: the servers are measured."""

import contextlib
import re
import selectors
import time

from benchmarks.sockets import Socket

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


class Client(Socket):
    """One socket. `messages` counts the updates that arrived, of which `last` is the latest."""

    def __init__(self, port: int, path: str, nth: int) -> None:
        # A hundred sockets share an address, because that is our limit for one address.
        super().__init__(port, path, source=f"127.0.0.{2 + nth // 100}")
        self.socketio = path == SOCKET_IO
        self.messages = self.snapshots = self.heartbeats = 0
        self.last = b""
        self.socket.setblocking(False)
        if self.socketio:
            self.say(b"40")

    def read(self) -> None:
        """Count what has arrived."""
        with contextlib.suppress(BlockingIOError):
            for text in self.texts():
                self._count(text)

    def shows(self, version: int) -> bool:
        """Return whether the latest update has this version."""
        return re.search(rb'"version": ?%d,' % version, self.last) is not None

    def _count(self, text: bytes) -> None:
        if self.socketio and text[:1] == b"2":
            self.say(b"3")
        elif b'"type":"update"' in text or b'"type": "update"' in text:
            self.messages += 1
            self.last = text
        elif b'"type":"snapshot"' in text:
            self.snapshots += 1
        elif b'"type":"heartbeat"' in text:
            self.heartbeats += 1


class Crowd:
    """All clients of one arm."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.clients = [Client(port, path, nth) for nth in range(count)]
        for client in self.clients:
            self.selector.register(client.socket, selectors.EVENT_READ, client)

    def read_until(self, at: float) -> None:
        """Read what arrives until `time.monotonic()` reaches `at`."""
        while (left := at - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                key.data.read()

    def messages(self) -> int:
        """Return how many updates arrived."""
        return sum(client.messages for client in self.clients)

    def heartbeats(self) -> int:
        """Return how many heartbeats arrived."""
        return sum(client.heartbeats for client in self.clients)

    def close(self) -> None:
        """Close all sockets."""
        self.selector.close()
        for client in self.clients:
            client.close()
