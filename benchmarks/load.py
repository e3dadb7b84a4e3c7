"""Load over HTTP: keep-alive connections in one thread, each asking again once it was answered.

A client library would cost more than the servers it measures; this one costs some 50 microseconds a request.
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
    """What came back. `latencies` are in seconds, in the order of the answers."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    created: list[float] = field(default_factory=list)  # when, by `time.perf_counter`, each 201 came

    def rate(self, status: int) -> float:
        """Will give the answers of that status in a second."""
        return self.statuses[status] / self.seconds


def request(method: str, path: str, *, token: str | None = None, body: str | None = None) -> bytes:
    """Will build a request, as it goes over the line."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Accept: application/json"]
    if token is not None:
        lines.append(f"Authorization: Token {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode()


class _Line:
    """One connection and the request that waits on it. `due` is when that one should have been sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received = b""
        self.due = 0.0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection((HOST, self.port), timeout=GIVE_UP)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, data: bytes, due: float) -> None:
        self.received, self.due = b"", due
        self.socket.sendall(data)

    def answered(self) -> int | None:
        """Will read what there is; gives the status once the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("The server hung up.")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        status = int(head[9:12])
        if status in (204, 304):
            return status
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0:  # in chunks
            return status if body.endswith(b"0\r\n\r\n") else None
        return status if len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0]) else None


class Load:
    """Connections to one server, kept as long as this object is."""

    def __init__(self, port: int, connections: int) -> None:
        self._lines = [_Line(port) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for line in self._lines:
            self._selector.register(line.socket, selectors.EVENT_READ, line)

    def close(self) -> None:
        self._selector.close()
        for line in self._lines:
            line.socket.close()

    def _connect_again(self) -> None:
        """Granian hangs up after 30 s without a request, and the turns of others may take longer. Nothing was
        asked, so whatever can be read has hung up."""
        for key, _ in self._selector.select(0):
            self._selector.unregister(key.fileobj)
            key.data.socket.close()
            key.data.connect()
            self._selector.register(key.data.socket, selectors.EVENT_READ, key.data)

    def run(self, requests: Sequence[Iterator[bytes]], *, seconds: float, rate: float | None = None) -> Tally:
        """Will ask for so long, each connection its own requests, and wait for the last answers.

        With a `rate` so many are asked in a second, whoever is free, and latency counts from when a request
        was due. Requests that run out end the run early.
        """
        self._connect_again()
        tally = Tally()
        started = time.perf_counter()
        until = started + seconds
        source = dict(zip(self._lines, requests, strict=True))
        idle = deque(self._lines)
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
            pause = GIVE_UP if rate is None or not more else max(0.0, started + asked / rate - now)
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
