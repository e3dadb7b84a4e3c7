"""Watch a stream in a process of its own, so that the load beside it does not delay the times that it notes."""

import contextlib
import multiprocessing
import selectors
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks import sockets

WATCHERS = 8
SETTLED = 5.0  # seconds within which public screens equal the database


@dataclass(frozen=True)
class Shown:
    """The ticket type on one screen, and since when (in seconds since 1970)."""

    at: float
    version: int
    held: int
    sold: int


@contextlib.contextmanager
def watching(port: int, path: str) -> Iterator[Connection]:
    """Start a process that watches; yield a pipe: send it the last version, receive what each socket showed."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    watcher = processes.Process(target=_watch, args=(port, path, theirs))
    watcher.start()
    theirs.close()
    try:
        ours.recv()
        yield ours
    finally:
        watcher.kill()
        watcher.join()


def _watch(port: int, path: str, pipe: Connection) -> None:
    selector = selectors.DefaultSelector()
    screens: list[list[Shown]] = [[] for _ in range(WATCHERS)]
    for shown in screens:
        screen = sockets.Socket(port, path)
        while not shown:
            _read(screen, shown)
        selector.register(screen.socket, selectors.EVENT_READ, (screen, shown))
    pipe.send("watching")
    while not pipe.poll():
        _listen(selector)
    last, until = pipe.recv(), time.monotonic() + SETTLED
    while any(shown[-1].version < last for shown in screens) and time.monotonic() < until:
        _listen(selector)
    pipe.send(screens)


def _listen(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select(0.1):
        _read(*key.data)


def _read(screen: sockets.Socket, shown: list[Shown]) -> None:
    texts, at = screen.texts(), time.time()
    for state in filter(None, map(sockets.state, texts)):
        [ticket_type] = state["tickets"]
        shown.append(Shown(at, ticket_type["version"], ticket_type["held"], ticket_type["sold"]))
