"""Make load over HTTP: keep-alive connections in one thread. Each sends its next request after an answer.

A client library would use more CPU than the servers that are measured.
"""

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"
GIVE_UP = 30.0  # seconds without any answer


@dataclass
class Tally:
    """The answers to a load. `latencies` are in seconds, in the order of the answers."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    created: list[float] = field(default_factory=list)  # when, by `time.perf_counter`, each 201 came

    def rate(self, status: int) -> float:
        """Return how many answers a second had this status."""
        return self.statuses[status] / self.seconds


def request(method: str, path: str, *, token: str | None = None, body: str | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Accept: application/json"]
    if token is not None:
        lines.append(f"Authorization: Token {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode()


class _Connection:
    """A connection and its request in flight. `due` is when the request should have been sent."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.received = b""
        self.due = 0.0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection((self.host, self.port), timeout=GIVE_UP)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, data: bytes, due: float) -> None:
        self.received, self.due = b"", due
        self.socket.sendall(data)

    def answered(self) -> int | None:
        """Read what has arrived; return the status if the answer is complete, otherwise None."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("The server closed the connection.")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        status = int(head[9:12])
        if status in (204, 304):
            return status
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0:  # chunked
            return status if body.endswith(b"0\r\n\r\n") else None
        return status if len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0]) else None


class Load:
    """Connections to one server, open as long as this object lives."""

    def __init__(self, port: int, connections: int, *, host: str = HOST) -> None:
        self._connections = [_Connection(host, port) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for line in self._connections:
            self._selector.register(line.socket, selectors.EVENT_READ, line)

    def close(self) -> None:
        self._selector.close()
        for line in self._connections:
            line.socket.close()

    def _connect_again(self) -> None:
        """Connect again where the server has closed the connection, as Granian does after 30 s without a request.

        No request is in flight, so a connection with something to read is a closed one.
        """
        for key, _ in self._selector.select(0):
            self._selector.unregister(key.fileobj)
            key.data.socket.close()
            key.data.connect()
            self._selector.register(key.data.socket, selectors.EVENT_READ, key.data)

    def run(self, requests: Sequence[Iterator[bytes]], *, seconds: float, rate: float | None = None) -> Tally:
        """Send requests for so many seconds, and wait for the last answers. Each connection has its own `requests`.

        With a `rate`, this many requests are sent a second, by any free connection, and the latency of a request
        counts from the time at which it was due. The run ends early when a connection has no request left.
        """
        self._connect_again()
        tally = Tally()
        started = time.perf_counter()
        until = started + seconds
        source = dict(zip(self._connections, requests, strict=True))
        idle = deque(self._connections)
        waiting = asked = 0
        more = True
        while True:
            now = time.perf_counter()
            more = more and now < until
            while idle and more and (rate is None or started + asked / rate <= now):
                line = idle.popleft()
                data = next(source[line], None)
                if data is None:
                    more = False
                    break
                line.ask(data, now if rate is None else started + asked / rate)
                asked, waiting = asked + 1, waiting + 1
            if not waiting and not more:
                break
            # While no connection is free, only an answer can change anything, even if the next request is late.
            pause = (
                GIVE_UP if rate is None or not more or not idle else max(0.0, started + asked / rate - now)
            )
            ready = self._selector.select(min(pause, GIVE_UP) if waiting or rate else 0)
            if not ready and waiting and pause == GIVE_UP:
                raise TimeoutError(f"No answer for {GIVE_UP:.0f} s.")
            for key, _ in ready:
                status = key.data.answered()
                if status is not None:
                    tally.statuses[status] += 1
                    arrived = time.perf_counter()
                    tally.latencies.append(arrived - key.data.due)
                    if status == 201:
                        tally.created.append(arrived)
                    idle.append(key.data)
                    waiting -= 1
        tally.seconds = time.perf_counter() - started
        return tally
