"""What staff read of a line: who entered and when, what is wished and there, how far it is, when it ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.db.models.functions import TruncMinute

from overlord.kernel import db
from tickets.line import rules, sql
from tickets.line.models import Entry, Line
from tickets.line.rules import EntryState

MINUTES = 60


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A ticket type: how many those who wait wish first, and how many there are."""

    ticket_type: int
    name: str
    wished: int
    there: int


@dataclass(frozen=True, kw_only=True)
class LineFigures:
    """Figures of one line. `ends_at` is when its last turn comes at the measured pace; None while not known."""

    states: dict[str, int]
    by_minute: list[tuple[datetime, int]]
    wishes: list[Wish]
    ends_at: datetime | None


def line_figures(*, event_id: int, now: datetime) -> LineFigures:
    """Read the figures of an event's line."""
    entries = Entry.objects.filter(line_id=event_id)
    counted = dict(entries.values_list("state").annotate(n=Count("pk")).order_by())
    recent = entries.filter(entered_at__gt=now - timedelta(minutes=MINUTES))
    by_minute = (
        recent.annotate(minute=TruncMinute("entered_at")).values_list("minute").annotate(n=Count("pk"))
    )
    wishes = [Wish(**row) for row in db.rows(sql.WISHED, {"event": event_id})]
    return LineFigures(
        states={state.value: counted.get(state.value, 0) for state in EntryState},
        by_minute=[(minute, n) for minute, n in by_minute.order_by("minute")],
        wishes=wishes,
        ends_at=_ends_at(Line.objects.filter(pk=event_id).first(), now=now),
    )


def _ends_at(line: Line | None, *, now: datetime) -> datetime | None:
    if line is None or line.is_held or line.is_standing:
        return None
    seconds = rules.seconds_to_wait(line.entered - line.served, line.per_minute)
    return None if seconds is None or line.drawn_at is None else now + timedelta(seconds=seconds)
