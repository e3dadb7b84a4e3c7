"""A WebSocket client that uses little CPU: the servers are measured, not their client."""

import base64
import json
import os
import socket
from typing import Any

from benchmarks.load import GIVE_UP, HOST

TEXT, PING, PONG = 0x81, 0x89, 0x8A


class Socket:
    """One WebSocket. `texts` waits for data unless the socket is non-blocking.

    With a token, it authenticates by the token, as a program does, and sends no Origin.
    """

    def __init__(self, port: int, path: str, *, token: str | None = None, source: str = HOST) -> None:
        site = f"{HOST}:{port}"
        who = f"Origin: http://{site}" if token is None else f"Authorization: Token {token}"
        self.socket = socket.create_connection((HOST, port), timeout=GIVE_UP, source_address=(source, 0))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {site}\r\n{who}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._rest = b""
        head = self._read_head()
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head)

    def close(self) -> None:
        self.socket.close()

    def texts(self) -> list[bytes]:
        """Read what has arrived; return the complete texts, which may be none."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("The server closed the connection.")
        data = self._rest + data
        found, at = [], 0
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start = at + (4 if length == 126 else 10)
                length = int.from_bytes(data[at + 2 : start])
            if len(data) < start + length:
                break
            if data[at] == TEXT:
                found.append(data[start : start + length])
            elif data[at] == PING:
                self._send(PONG, data[start : start + length])
            at = start + length
        self._rest = data[at:]
        return found

    def say(self, text: bytes) -> None:
        """Send a short text."""
        self._send(TEXT, text)

    def _send(self, opcode: int, text: bytes) -> None:
        self.socket.sendall(bytes((opcode, 0x80 | len(text))) + bytes(4) + text)  # masked with zeros

    def _read_head(self) -> bytes:
        """Read the HTTP answer alone; a frame that follows it is left for `texts`."""
        end = -1
        while end < 0:
            end = self.socket.recv(65536, socket.MSG_PEEK).find(b"\r\n\r\n")
        return self.socket.recv(end + 4)


def state(text: bytes) -> Any:
    """Return the state in a frame, None if the frame has none."""
    frame = json.loads(text)
    return frame["data"] if frame["type"] in ("snapshot", "update") else None
