"""Try only seldom to reach a PostgreSQL that does not answer, so that threads do not all wait for it.

Used from every thread of a process. An attempt to connect to a server that does not answer takes seconds. When one
has failed in this way, the others fail at once, until a second later one of them tries again.
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
    """Whether a server answered lately."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retry_at: float | None = None  # None: it answered, or refused at once

    def attempt(self, connect: Callable[[], Made]) -> Made:
        """Connect, or raise OperationalError at once when the server did not answer a moment ago."""
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
