"""How often, and how many at once: the limits of sockets, and what counts against them.

Runs in Daphne's event loop and in the threads of a worker. Each object belongs to one of them and is not locked.
They decide and are told the time; they neither wait nor act. A sender waits as long as `Throttle.wait` says and
sends the state of that moment, so that the last state of a burst is always sent.
"""

from collections import Counter
from collections.abc import Hashable
from math import inf

SOCKETS_PER_ADDRESS = 1000  # many people can share one: a school, an office, a mobile network
SOCKETS_PER_USER = 20
RESYNC_SECONDS = 1.0  # between two snapshots that answer a client's resync
CLIENT_FRAMES = 30  # of one socket, in CLIENT_FRAMES_SECONDS
CLIENT_FRAMES_SECONDS = 10.0


class Throttle:
    """Allows one each `interval` seconds in the long run, and `burst` of them at once after a rest.

    Times are in seconds of any one clock.
    """

    def __init__(self, *, interval: float, burst: int = 1) -> None:
        self._interval = interval
        self._ahead = interval * (burst - 1)
        self._next = -inf  # when the next one would be due if all before had kept the interval

    def wait(self, *, now: float) -> float:
        """Return how many seconds are left until the next one may be sent: 0.0 when it may be sent at once."""
        return max(0.0, self._next - self._ahead - now)

    def record(self, *, now: float) -> None:
        """Record that one was sent."""
        self._next = max(self._next, now) + self._interval


class FixedWindow:
    """Allows at most `limit` in `seconds`, counted in windows of that length."""

    def __init__(self, *, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._since = -inf
        self._count = 0

    def allows(self, *, now: float) -> bool:
        """Count one more, and return whether it is within the limit."""
        if now - self._since >= self._seconds:
            self._since, self._count = now, 0
        self._count += 1
        return self._count <= self._limit


class ConcurrencyLimit:
    """Allows at most `limit` at a time for each holder."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._held: Counter[Hashable] = Counter()

    def acquire(self, holder: Hashable) -> bool:
        """Take one for the holder; return False when the limit is reached."""
        if self._held[holder] >= self._limit:
            return False
        self._held[holder] += 1
        return True

    def release(self, holder: Hashable) -> None:
        """Give back one that the holder has taken."""
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
