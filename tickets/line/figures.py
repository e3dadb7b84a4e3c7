"""The figures of a line for staff: entries by minute, wishes and tickets left, progress, and when the line ends.

A count reads all entries of a line. A short line is counted each time. For a long line, one thread at a time
counts, and all threads of the process share the result: the longer the line, the longer they share it. The line's
own row is read each time.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from django.db.models import Count
from django.db.models.functions import TruncMinute

from overlord.kernel import db
from tickets.line import rules, sql
from tickets.line.models import Entry, Line
from tickets.line.rules import EntryState

MINUTES = 60


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """The counts of a line, and the `monotonic()` time at which they were made."""

    counts: "Counts"
    at: float


_kept: dict[int, _Kept] = {}
_counting = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A ticket type: how many of its tickets people in line wish as their first choice, and how many are left."""

    ticket_type: int
    name: str
    wished: int
    there: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The entries of a line, counted by state, by minute and by wish."""

    states: dict[str, int]
    by_minute: list[tuple[datetime, int]]
    wishes: list[Wish]


@dataclass(frozen=True, kw_only=True)
class LineFigures(Counts):
    """The figures of a line.

    `ends_at` is when the last turn comes at the shown pace. It is None while this is not known, and if all turns
    have come.
    """

    ends_at: datetime | None


def line_figures(*, event_id: int, now: datetime) -> LineFigures:
    """Read the figures of an event's line. The counts of a long line may be `seconds_between_reads` old."""
    line = Line.objects.filter(pk=event_id).first()
    counts = _counts(event_id=event_id, entries=line.entered if line else 0, now=now)
    return LineFigures(**vars(counts), ends_at=_ends_at(line, now=now))


def _counts(*, event_id: int, entries: int, now: datetime) -> Counts:
    pause = rules.seconds_between_reads(entries)
    if not pause:
        return _count(event_id=event_id, now=now)
    with _counting:
        kept = _kept.get(event_id)
        if kept is None or monotonic() - kept.at >= pause:
            at = monotonic()
            kept = _kept[event_id] = _Kept(counts=_count(event_id=event_id, now=now), at=at)
        return kept.counts


def _count(*, event_id: int, now: datetime) -> Counts:
    entries = Entry.objects.filter(line_id=event_id)
    counted = dict(entries.values_list("state").annotate(n=Count("pk")).order_by())
    recent = entries.filter(entered_at__gt=now - timedelta(minutes=MINUTES))
    by_minute = (
        recent.annotate(minute=TruncMinute("entered_at")).values_list("minute").annotate(n=Count("pk"))
    )
    wishes = [Wish(**row) for row in db.rows(sql.WISHED, {"event": event_id})]
    return Counts(
        states={state.value: counted.get(state.value, 0) for state in EntryState},
        by_minute=[(minute, n) for minute, n in by_minute.order_by("minute")],
        wishes=wishes,
    )


def _ends_at(line: Line | None, *, now: datetime) -> datetime | None:
    if line is None or line.is_held or line.is_standing or line.served >= line.entered:
        return None
    seconds = rules.seconds_to_wait(line.entered - line.served, line.per_minute)
    return None if seconds is None or line.drawn_at is None else now + timedelta(seconds=seconds)
