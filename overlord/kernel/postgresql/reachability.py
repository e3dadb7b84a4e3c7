"""Connect to PostgreSQL; if it does not answer, let only one thread try, so that the others do not wait.

Used from every thread of a process. If a server does not answer, an attempt to connect takes seconds. After such a
failure, all attempts fail at once for a second. Then one thread tries again.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from psycopg2 import OperationalError

Made = TypeVar("Made")

SLOW_SECONDS = 1.0  # a failure that takes this long means that the server does not answer
RETRY_SECONDS = 1.0


class Reachability:
    """Whether a server has answered lately. All threads of a process share one object."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retry_at: float | None = None  # None: the server answered, or refused the connection at once

    def attempt(self, connect: Callable[[], Made]) -> Made:
        """Return what `connect` returns; raise OperationalError at once if the server did not answer lately."""
        began = self._clock()
        with self._lock:
            if self._retry_at is not None:
                if began < self._retry_at:
                    raise OperationalError("PostgreSQL did not answer a moment ago.")
                self._retry_at = float("inf")  # this thread tries, and no other
        unanswered = False
        try:
            return connect()
        except Exception:
            unanswered = self._clock() - began >= SLOW_SECONDS
            raise
        finally:
            with self._lock:
                self._retry_at = self._clock() + RETRY_SECONDS if unanswered else None
