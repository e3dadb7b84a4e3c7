"""A pool of connections to PostgreSQL: a thread takes one for a while and gives it back.

Used from many threads of a process at once.
"""

import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import BoundedSemaphore
from time import monotonic

from psycopg2 import Error, OperationalError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

KEPT_SECONDS = 30.0  # an idle connection stays open for at least this long


def is_lost(idle: connection) -> bool:
    """Return whether the server has closed an idle connection. This asks only the kernel, not the server."""
    try:
        poller = select.poll()
        poller.register(idle.fileno(), select.POLLIN)
        while poller.poll(0):
            idle.poll()  # reads what has come, such as the last message of a server that stops
    except (Error, OSError, ValueError):
        return True
    return False


class ConnectionPool:
    """A pool of at most `most` connections. If none is free, a caller waits for one, at most for `seconds`.

    The connection that was used last is taken first. So connections that are not needed stay idle, and are closed
    after a while, because each costs PostgreSQL a process.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._free = BoundedSemaphore(most)
        self._seconds = seconds
        self._idle: deque[tuple[connection, float]] = deque()  # each with the time at which it became idle

    def take(self, connect: Callable[[], connection]) -> connection:
        """Return an idle connection, or a new one by `connect`; raise OperationalError when all stay in use."""
        if not self._free.acquire(timeout=self._seconds):
            raise OperationalError(f"No database connection became free within {self._seconds:.0f} s.")
        try:
            with suppress(IndexError):
                while is_lost(kept := self._idle.pop()[0]):
                    kept.close()
                return kept
            return connect()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, used: connection, *, broken: bool = False) -> None:
        """Keep the connection for the next caller.

        If it is `broken` or closed, or still has a transaction, close it and all idle connections: the server may
        be gone for all of them.
        """
        try:
            if broken or used.closed or used.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                used.close()
                self.close_idle()
            else:
                self._idle.append((used, monotonic()))
                self._close_unneeded()
        finally:
            self._free.release()

    def close_idle(self) -> None:
        """Close all idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def _close_unneeded(self) -> None:
        """Close the connections that have been idle for KEPT_SECONDS, except for one."""
        with suppress(IndexError):
            while len(self._idle) > 1 and self._idle[0][1] <= monotonic() - KEPT_SECONDS:
                self._idle.popleft()[0].close()
