"""The limits of sockets and of sending: how often, and how many at once.

Runs on Daphne's event loop and in the threads of a worker. The objects have no lock: the caller makes sure that
only one thread at a time uses an object. The objects get the time from the caller. They only decide, and never
wait.

A sender waits as long as `Throttle.wait` says, and then sends the latest state. So the last state of a burst is
always sent.
"""

from collections import Counter
from collections.abc import Hashable
from math import inf

SOCKETS_PER_ADDRESS = 1000  # many people can share an address: a school, an office, a mobile network
SOCKETS_PER_USER = 20
RESYNC_SECONDS = 1.0  # between two snapshots that answer a client's resync
CLIENT_FRAMES = 30  # of one socket, in CLIENT_FRAMES_SECONDS
CLIENT_FRAMES_SECONDS = 10.0


class Throttle:
    """Allows one action every `interval` seconds, and after a rest `burst` actions at once.

    Times are in seconds, all of the same clock.
    """

    def __init__(self, *, interval: float, burst: int = 1) -> None:
        self._interval = interval
        self._ahead = interval * (burst - 1)
        self._next = -inf  # when the next action would be due if there were no bursts

    def wait(self, *, now: float) -> float:
        """Return the seconds until the next action is allowed: 0.0 when it is allowed now."""
        return max(0.0, self._next - self._ahead - now)

    def record(self, *, now: float) -> None:
        """Record that an action happened at `now`."""
        self._next = max(self._next, now) + self._interval


class FixedWindow:
    """Allows at most `limit` actions in a window of `seconds`. After its end, the next action begins a new one."""

    def __init__(self, *, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._since = -inf
        self._count = 0

    def allows(self, *, now: float) -> bool:
        """Count one action, and return whether it is within the limit."""
        if now - self._since >= self._seconds:
            self._since, self._count = now, 0
        self._count += 1
        return self._count <= self._limit


class ConcurrencyLimit:
    """Allows each address, or each user, at most `limit` sockets at a time. A `holder` is an address or a user."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._held: Counter[Hashable] = Counter()

    def acquire(self, holder: Hashable) -> bool:
        """Count one more socket of the holder and return True; return False if the holder has `limit` sockets."""
        if self._held[holder] >= self._limit:
            return False
        self._held[holder] += 1
        return True

    def release(self, holder: Hashable) -> None:
        """Count one socket of the holder less."""
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
