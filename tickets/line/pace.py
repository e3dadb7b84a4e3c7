"""How fast a line moves: how many turns may come now, the measured pace, and the pace that people read.

These are decisions on plain values. A pace counts places, also those of people who have left: the places ahead of a
person, divided by the pace, are the person's wait. See docs/line.md, "The pace".
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tickets.line.rules import LineActionRefused

FASTEST = 6_000  # places a minute; a line that may be faster needs no limit
MEMORY = timedelta(seconds=30)  # places that were served longer ago count little
LEAST = timedelta(seconds=10)  # how long a line must have served before its measured pace is shown
LONGEST_RUN = timedelta(seconds=5)  # how far a limited line may be behind its pace, or ahead of it

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The pace of a line.

    `limit` is how many places a minute staff allow, None for as many as possible. With a limit, each turn takes
    some of the line's time, and the turns so far have taken all time up to `since`. Without a limit, the latest
    turns came at `since`. `since` is None before the line begins, while the line is paused, and when nobody waits.
    `places` were served in `seconds`. In both numbers, earlier turns count less (see MEMORY).
    """

    limit: int | None = None
    since: datetime | None = None
    places: float = 0.0
    seconds: float = 0.0


def turns_now(pace: Pace, *, now: datetime) -> int | None:
    """Return how many turns may come now, or None if there is no limit. After a rest, one turn comes at once."""
    if pace.limit is None:
        return None
    if pace.since is None:
        return 1
    unused = min(now - pace.since, _run(pace.limit))
    return max(0, unused * pace.limit // _MINUTE)


def moved(pace: Pace, *, places: int, turns_again: int, was_standing: bool, now: datetime) -> Pace:
    """Return the pace after a batch that served `places` more places.

    `turns_again` were turns of people whose turn had come before. They use the line's time, but serve no new place.
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
    """Return the pace of a line for which staff set another limit. Earlier measurements are forgotten."""
    return Pace(limit=limit, since=None if pace.since is None else now)


def rested(pace: Pace) -> Pace:
    """Return the pace of a line that serves nobody for a while. This time gains no turns, and is not measured."""
    return replace(pace, since=None)


def shown(pace: Pace) -> int:
    """Return the places a minute that people read, or 0 while they are not known.

    A new limit is shown at once. A smaller number is shown only after the line was measured to be slower.
    """
    if pace.seconds < LEAST.total_seconds():
        return pace.limit or 0
    measured = round(pace.places * 60 / pace.seconds)
    if pace.limit is not None:
        return min(measured, pace.limit)
    return measured


def slower(pace: Pace) -> int:
    """Return the limit of a line that staff slow down: half of the present pace."""
    return max(1, min(shown(pace) or FASTEST, FASTEST) // 2)


def faster(pace: Pace) -> int | None:
    """Return the limit of a line that staff speed up: twice the limit, or None if that is FASTEST or more.

    Raise LineActionRefused if the line has no limit.
    """
    if pace.limit is None:
        raise LineActionRefused("The line already moves as fast as possible.")
    return pace.limit * 2 if pace.limit * 2 < FASTEST else None


def _run(limit: int) -> timedelta:
    """Return for how long a line may save turns: LONGEST_RUN, or the time of two turns if that is longer."""
    return max(LONGEST_RUN, 2 * _MINUTE / limit)
