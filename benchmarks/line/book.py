"""Make a line with many entries, draw it, give it tickets, and check that all of it was right."""

import json
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from benchmarks import sale
from overlord.kernel import db
from tickets.line import rules, selectors, services, staff_services
from tickets.line.models import Entry, Line
from tickets.line.rules import Action, EntryState
from tickets.models import Event, Inventory, Reservation

HOLD = timedelta(hours=1)
TICK = timedelta(seconds=0.5)
PACE = 600  # places a minute: the pace of the line in `error_of_times`
STAFF = 1  # the id of the user who slows this line down
LOOKS_EVERY = 10  # ticks
SHORT = 10.0  # seconds; the error of a shorter wait does not count

_ENTRIES = """
INSERT INTO line_entry (line_id, buyer_id, number, state, choices, entered_at)
SELECT %(event)s, n, n, 'waiting', %(choices)s::jsonb, now() FROM generate_series(1, %(people)s) n
"""


def lobby_open(event_id: int) -> None:
    """Empty the line of an event, and open its lobby; its sale opens in an hour."""
    Entry.objects.filter(line_id=event_id).delete()
    Line.objects.filter(pk=event_id).delete()
    Event.objects.filter(pk=event_id).update(opening="draw")
    opens_at = timezone.now() + timedelta(hours=1)
    Inventory.objects.filter(ticket_type__event_id=event_id).update(opens_at=opens_at)
    services.lobby_open(event_id=event_id, now=timezone.now())


def check_lobby(event_id: int, *, entered: int) -> None:
    """Raise BrokenError unless the line has exactly the entries that were acknowledged."""
    kept = Entry.objects.filter(line_id=event_id, state=EntryState.WAITING).count()
    if not kept == Line.objects.get(pk=event_id).entered == entered:
        raise sale.BrokenError(f"{entered} entries were acknowledged, {kept} exist.")


def line_make(*, people: int, tickets: int) -> int:
    """Make an event whose sale opens now, with this number of people in its line; return its id."""
    [ticket_type] = sale.event_make(capacity=tickets)
    event_id = sale.event_of(ticket_type)
    lobby_open(event_id)
    wish = json.dumps([[[ticket_type, 1]]])
    db.rows(_ENTRIES, {"event": event_id, "choices": wish, "people": people})
    Line.objects.filter(pk=event_id).update(entered=people)
    past = timezone.now() - timedelta(seconds=1)
    Inventory.objects.filter(ticket_type__event_id=event_id).update(opens_at=past)
    return event_id


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Do the work; return its seconds, and this process's own seconds of CPU."""
    began, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - spent


def draw(event_id: int, *, people: int) -> None:
    """Draw the places, and check that each place exists exactly one time."""
    if services.draw(event_id=event_id) != people:
        raise sale.BrokenError("The draw did not draw all.")
    [row] = db.rows(
        "SELECT count(DISTINCT place) AS n, max(place) AS last FROM line_entry WHERE line_id = %s", [event_id]
    )
    if not row["n"] == row["last"] == people:
        raise sale.BrokenError("A place is missing or there twice.")


def give(event_id: int, *, tickets: int) -> None:
    """Give tickets until none is left, and check that the first places have them."""
    while selectors.is_worth_serving(event_id=event_id) and services.serve(
        event_id=event_id, hold=HOLD, now=timezone.now()
    ):
        pass
    given = Entry.objects.filter(line_id=event_id, state=EntryState.GIVEN)
    if given.count() != tickets or given.filter(place__gt=tickets).exists():
        raise sale.BrokenError("Tickets were given out of order, or not all of them.")
    if Reservation.objects.count() != tickets:
        raise sale.BrokenError("There are more holds than tickets were given.")


def error_of_times(*, people: int) -> float:
    """Serve a slowed line in simulated time; return the median error of the time shown, as a share of the wait.

    Every fifth person has left. When half of the line is served, staff slow it down to half its pace. This makes
    the times shown before wrong, and these errors count too.
    """
    sale.clear()
    event_id = line_make(people=people, tickets=people)
    services.draw(event_id=event_id)
    Entry.objects.filter(line_id=event_id, number__in=range(5, people, 5)).update(state=EntryState.LEFT)
    now = timezone.now()
    Line.objects.filter(pk=event_id).update(most_per_minute=PACE, per_minute=PACE, drawn_at=now)
    promised: list[tuple[int, float, float]] = []  # a place, when it was looked at, and the seconds shown
    turns: dict[int, float] = {}  # when the turn of a place came
    at, served = 0.0, 0
    while served < people - 1 and at < 3600:
        now, at = now + TICK, at + TICK.total_seconds()
        services.serve(event_id=event_id, hold=HOLD, now=now)
        line = Line.objects.get(pk=event_id)
        turns.update(dict.fromkeys(range(served + 1, line.served + 1), at))
        served = line.served
        if served > people // 2 and line.most_per_minute == PACE:
            staff_services.line_act(event_id=event_id, actor_id=STAFF, action=Action.SLOWER, text="", now=now)
            line.refresh_from_db()
        if round(at / TICK.total_seconds()) % LOOKS_EVERY == 0:
            for place in range(served + 1, people, max(1, people // 50)):
                ahead = rules.people_ahead(place, served)
                seconds = rules.seconds_to_wait(ahead, line.per_minute)
                if seconds is not None:
                    promised.append((place, at, float(seconds)))
    waits = [(turns[place] - seen, shown) for place, seen, shown in promised if place in turns]
    return statistics.median(abs(shown - wait) / wait for wait, shown in waits if wait >= SHORT)
