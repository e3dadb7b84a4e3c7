"""Steps of a line inside an open transaction.

Locks are taken in one order: the line, then the event's inventories by id, then waiting entries by place. Who
changes a waiting entry waits for neither line nor inventory while it has it. A given entry is locked before its
reservations.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Max

from overlord.kernel import db
from tickets import operations as tickets
from tickets.line import projections, rules, selectors, sql
from tickets.line.models import Entry, Line
from tickets.line.rules import EntryState, Phase
from tickets.models import Reservation
from tickets.operations import Basket, Given, Left


def line_lock(*, event_id: int) -> Line | None:
    """Lock a line, and return it; None when the event has none. Its lock is what makes one giver at a time."""
    db.transaction_required()
    return Line.objects.select_for_update(no_key=True).filter(pk=event_id).first()


def line_begin(*, line: Line, types: Collection[int], now: datetime) -> None:
    """Let a locked line come first for all ticket types of its event, and announce it."""
    tickets.line_first_set(event_id=line.pk, types=types, now=now)
    db.after_commit(partial(projections.announce_line, event_id=line.pk))


def line_serve(*, line: Line, most: int, hold: timedelta, now: datetime) -> int:
    """Give to the next of a locked line, `most` of them at most, in order of place; return how many were tried.

    What is wished and not there leaves an entry in the line, before all behind it. When nobody waits any more, the
    sale is open to direct claims.
    """
    left = tickets.inventories_lock(event_id=line.pk)
    if not any(each.tickets for each in left.values()):
        line_rest(line=line, now=now)  # the line stands until something comes back
        return 0
    entries = _entries_next(line, left, most=most)
    baskets = [Basket(buyer_id=each.buyer_id, choices=each.choices) for each in entries]
    given = tickets.orders_give(event_id=line.pk, baskets=baskets, hold=hold, now=now) if baskets else []
    for entry, result in zip(entries, given, strict=True):
        _turn(entry, result, now=now)
    if entries:
        served = max(line.served, entries[-1].place or 0)
    else:  # the places of those who left are empty
        last = Entry.objects.filter(line_id=line.pk).aggregate(last=Max("place"))["last"]
        served = max(line.served, last or 0)
    line_changed(line=line, served=served, now=now)
    if not entries:
        line_rest(line=line, now=now)
    return len(entries)


def _entries_next(line: Line, left: Mapping[int, Left], *, most: int) -> list[Entry]:
    wanted = {
        "event": line.pk,
        "served": line.served,
        "types": list(left),
        "tickets_left": [each.tickets for each in left.values()],
        "most": most,
    }
    return list(Entry.objects.raw(sql.ENTRIES_NEXT, wanted))


def _turn(entry: Entry, result: Given, *, now: datetime) -> None:
    """Write down what became of an entry's turn. One that got nothing stays, unless its own tickets forbid it."""
    turn = Entry.objects.filter(pk=entry.pk, state=EntryState.WAITING)
    if result.order_id is not None:
        turn.update(state=EntryState.GIVEN, order_id=result.order_id, turn_at=now, look_by=now + rules.LOOK)
    elif result.own:
        turn.update(state=EntryState.PASSED, turn_at=now)


def line_rest(*, line: Line, now: datetime) -> None:
    """Let direct claims have what nobody in a locked line wishes; open the sale when nobody waits."""
    wished = selectors.types_wished(event_id=line.pk)
    tickets.line_first_set(event_id=line.pk, types=wished, now=now)
    if not wished and line.phase == Phase.SERVING:
        line_changed(line=line, phase=Phase.OPEN, now=now)


def line_changed(
    *,
    line: Line,
    now: datetime,
    served: int | None = None,
    phase: Phase | None = None,
) -> None:
    """Change a locked line and announce it, if anything changes."""
    before = (line.served, line.phase)
    if served is not None and served != line.served:
        line.served = served
        line.per_minute = rules.pace(served=served, since=line.drawn_at or now, now=now)
    line.phase = line.phase if phase is None else phase.value
    if (line.served, line.phase) != before:
        line.save(update_fields=["served", "per_minute", "phase"])
        db.after_commit(partial(projections.announce_line, event_id=line.pk))


def entry_lapse(*, entry_id: int, now: datetime) -> None:
    """End a given entry whose hold was not looked at in time, and release what is still held of it.

    Whoever began to pay has looked.
    """
    db.transaction_required()
    lapsing = Entry.objects.select_for_update(no_key=True).filter(
        pk=entry_id, state=EntryState.GIVEN, looked_at=None, look_by__lte=now
    )
    entry = lapsing.first()
    if entry is None or entry.order_id is None:
        return
    order = tickets.order_lock(order_id=entry.order_id)
    held = [each for each in order if each.state == Reservation.State.HELD]
    if any(each.state in (Reservation.State.PAYING, Reservation.State.VALIDATED) for each in order):
        Entry.objects.filter(pk=entry.pk).update(looked_at=now)
        return
    for each in held:
        tickets.reservation_release(reservation=each, now=now)
    Entry.objects.filter(pk=entry.pk).update(state=EntryState.PASSED)
