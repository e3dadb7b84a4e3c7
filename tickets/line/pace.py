"""How fast a line moves: the turns that may come now, the pace as measured, and the pace that people read.

Decisions on plain values. All of it counts places, also those that somebody left: the places ahead, at so many a
minute, are the wait. See docs/line.md, "The pace".
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tickets.line.rules import LineActionRefused

FASTEST = 6_000  # places a minute; what is faster needs no limit
MEMORY = timedelta(seconds=30)  # what was served longer ago counts little
LEAST = timedelta(seconds=10)  # of serving, before a measured pace is shown
LONGEST_RUN = timedelta(seconds=5)  # by which a limited line may be behind its pace, or ahead of it

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a line moves.

    `limit` is what staff allow in places a minute, None for as many as possible. Turns have used the time of the
    line up to `since`; it is None before the line begins, while it is paused, and when nobody waits. `places` were
    served in `seconds`, both weighted by MEMORY.
    """

    limit: int | None = None
    since: datetime | None = None
    places: float = 0.0
    seconds: float = 0.0


def turns_now(pace: Pace, *, now: datetime) -> int | None:
    """Return how many turns may come now; None when nothing limits them. After a rest, one comes at once."""
    if pace.limit is None:
        return None
    if pace.since is None:
        return 1
    unused = min(now - pace.since, _run(pace.limit))
    return max(0, unused * pace.limit // _MINUTE)


def moved(pace: Pace, *, places: int, turns_again: int, was_standing: bool, now: datetime) -> Pace:
    """Return the pace after a batch that took the line on by `places`.

    `turns_again` went to those whose turn had come before: they use the line's time, and take it no place further.
    Time in which the line had nothing to give is not measured.
    """
    since = pace.since if pace.since is not None else now
    until = now
    if pace.limit is not None:
        run = _run(pace.limit)
        used = since + (places + turns_again) * _MINUTE / pace.limit
        until = min(max(used, now - run), now + run)
    if pace.since is None or was_standing:
        return replace(pace, since=until)
    passed = max(0.0, (until - since).total_seconds())
    kept = math.exp(-passed / MEMORY.total_seconds())
    return replace(
        pace, since=until, places=pace.places * kept + places, seconds=pace.seconds * kept + passed
    )


def limited(pace: Pace, *, limit: int | None, now: datetime) -> Pace:
    """Return the pace of a line to which staff give another limit: what was measured before is forgotten."""
    return Pace(limit=limit, since=None if pace.since is None else now)


def rested(pace: Pace) -> Pace:
    """Return the pace of a line that serves nobody for a while: that time gives no turns, and is not measured."""
    return replace(pace, since=None)


def shown(pace: Pace) -> int:
    """Return the places a minute that people read; 0 while they are not known.

    It is the limit at once, and less only when the line was measured to be slower.
    """
    if pace.seconds < LEAST.total_seconds():
        return pace.limit or 0
    measured = round(pace.places * 60 / pace.seconds)
    if pace.limit is not None:
        return min(measured, pace.limit)
    return measured


def slower(pace: Pace) -> int:
    """Return the limit of a line that staff slow down: half of the pace now."""
    return max(1, min(shown(pace) or FASTEST, FASTEST) // 2)


def faster(pace: Pace) -> int | None:
    """Return the limit of a line that staff speed up: twice what it is, or none; raise LineActionRefused."""
    if pace.limit is None:
        raise LineActionRefused("The line moves as fast as it can.")
    return pace.limit * 2 if pace.limit * 2 < FASTEST else None


def _run(limit: int) -> timedelta:
    """Return for how long turns may be saved: long enough for two."""
    return max(LONGEST_RUN, 2 * _MINUTE / limit)
