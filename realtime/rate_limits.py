"""How often something may happen. These decide and are told the time; they neither wait nor act.

Whoever has something to send waits as long as `Pace.wait` says and then sends the state of that moment, so that
the last of a burst is always shown.
"""

from collections import Counter
from collections.abc import Hashable
from math import inf


class Pace:
    """One sending each `interval` seconds in the long run, `burst` of them at once after a rest.

    Times are seconds of any one clock.
    """

    def __init__(self, *, interval: float, burst: int = 1) -> None:
        self._interval = interval
        self._ahead = interval * (burst - 1)
        self._next = -inf  # when the next one would be due, had all before kept the interval

    def wait(self, *, now: float) -> float:
        """Will say how many seconds are left until it may be sent: 0.0 when it may be sent at once."""
        return max(0.0, self._next - self._ahead - now)

    def sent(self, *, now: float) -> None:
        """Will note that it was sent."""
        self._next = max(self._next, now) + self._interval


class Allowance:
    """So many in so many seconds, counted in spans of that length."""

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._since = -inf
        self._count = 0

    def allows(self, *, now: float) -> bool:
        """Will count one more, and say whether that is still within the allowance."""
        if now - self._since >= self._seconds:
            self._since, self._count = now, 0
        self._count += 1
        return self._count <= self._most


class Places:
    """At most `limit` of each at a time."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[Hashable] = Counter()

    def take(self, whose: Hashable) -> bool:
        """Will take a place; False when all are taken."""
        if self._taken[whose] >= self._limit:
            return False
        self._taken[whose] += 1
        return True

    def leave(self, whose: Hashable) -> None:
        """Will give a taken place back."""
        self._taken[whose] -= 1
        if not self._taken[whose]:
            del self._taken[whose]
