"""How often something may be sent: at once after a pause, and then at most so many times a second.

It decides and is told the time; it neither waits nor sends. Whoever has something to send waits as long as
`wait` says and then sends the state of that moment, so that the last of a burst is always shown.
"""

from math import inf


class Pace:
    """At most one sending each `interval` seconds. Times are seconds of any one clock."""

    def __init__(self, *, interval: float) -> None:
        self._interval = interval
        self._last = -inf

    def wait(self, *, now: float) -> float:
        """Will say how many seconds are left until it may be sent: 0.0 when it may be sent at once."""
        return max(0.0, self._last + self._interval - now)

    def sent(self, *, now: float) -> None:
        """Will note that it was sent."""
        self._last = now
