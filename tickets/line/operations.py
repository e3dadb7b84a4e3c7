"""Steps of a line inside an open transaction.

Locks are taken in one order: the line, then the event's inventories by id, then waiting entries by place. A
transaction that changes a waiting entry waits for neither line nor inventory meanwhile. A given entry is locked
before its reservations.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from overlord.kernel import db
from tickets import operations as tickets
from tickets.line import pace, projections, rules, selectors, sql
from tickets.line.models import Entry, Line
from tickets.line.pace import Pace
from tickets.line.rules import EntryState, Phase
from tickets.models import Reservation
from tickets.operations import Basket, Given, Left


def line_lock(*, event_id: int) -> Line | None:
    """Lock a line, and return it; None when the event has none. The lock lets one giver work at a time."""
    db.transaction_required()
    return Line.objects.select_for_update(no_key=True).filter(pk=event_id).first()


def line_begin(*, line: Line, types: Collection[int], now: datetime) -> None:
    """Let a locked line come first for all ticket types of its event, and announce it."""
    tickets.line_first_set(event_id=line.pk, types=types, now=now)
    db.after_commit(partial(projections.announce_line, event_id=line.pk))


def line_serve(*, line: Line, most: int, hold: timedelta, now: datetime) -> int:
    """Give tickets to the next people in a locked line, at most `most` of them, and return how many were tried.

    It goes in order of place. An entry whose wish is not available keeps its place, before all behind it. When
    nobody waits any longer, the sale is open to direct claims. Staff may pause a line, or limit its turns.
    """
    left = tickets.inventories_lock(event_id=line.pk)
    if line.is_held:
        _wished_fence(line, left, now=now)
        return 0
    if not any(each.tickets for each in left.values()):
        line_rest(line=line, now=now)  # the line stands still until tickets come back
        return 0
    turns = pace.turns_now(line_pace(line), now=now)
    if turns == 0:
        _wished_fence(line, left, now=now)
        return 0
    drawn_parts_make(line=line)
    entries = _entries_next(line, left, most=most if turns is None else min(turns, most))
    baskets = [Basket(buyer_id=each.buyer_id, choices=_possible(each.choices, left)) for each in entries]
    given = tickets.orders_give(event_id=line.pk, baskets=baskets, hold=hold, now=now) if baskets else []
    _turns_note(entries, given, now=now)
    if entries:
        _line_moved(line, entries, now=now)
    elif not selectors.is_anyone_behind(event_id=line.pk, served=line.served):
        # All places behind belong to people who have left. (Where somebody waits behind and was not found, the
        # person before has just left, and the next tick goes on.)
        line_changed(line=line, served=line.entered)  # the last place: each number has one
        line_rest(line=line, now=now)
    return len(entries)


def _possible(choices: Sequence[rules.Items], left: Mapping[int, Left]) -> list[rules.Items]:
    """Return the choices whose types all have tickets left. A type that was hidden or deleted has none.

    None is for more tickets than one person may have: staff may have lowered the limit after the person entered.
    """
    return [
        [(each, min(quantity, left[each].max_per_user)) for each, quantity in choice]
        for choice in choices
        if all(each in left and left[each].tickets for each, _ in choice)
    ]


def _line_moved(line: Line, entries: Sequence[Entry], *, now: datetime) -> None:
    """Count the places that were served, and measure the pace. A line that gave all that came back stands again."""
    served = max(line.served, entries[-1].place or 0)
    turns_again = sum((each.place or 0) <= line.served for each in entries)
    moved = pace.moved(
        line_pace(line),
        places=served - line.served,
        turns_again=turns_again,
        was_standing=line.is_standing,
        now=now,
    )
    left = tickets.inventories_lock(event_id=line.pk) if line.is_standing else {}
    stands = line.is_standing and not any(each.tickets for each in left.values())
    line_changed(line=line, served=served, is_standing=stands, **pace_fields(moved))


def line_pace(line: Line) -> Pace:
    """Return how a line moves."""
    return Pace(
        limit=line.most_per_minute,
        since=line.moved_at,
        places=line.measured_places,
        seconds=line.measured_seconds,
    )


def pace_fields(moving: Pace) -> dict[str, Any]:
    """Return the fields of a line for a pace."""
    return {
        "most_per_minute": moving.limit,
        "moved_at": moving.since,
        "measured_places": moving.places,
        "measured_seconds": moving.seconds,
        "per_minute": pace.shown(moving),
    }


def drawn_parts_make(*, line: Line) -> None:
    """Write the order in which the draw of a locked line gave the places, unless that is done."""
    db.rows(sql.DRAWN_PARTS_MAKE, {"event": line.pk, "size": rules.DRAWN_PART})


def _entries_next(line: Line, left: Mapping[int, Left], *, most: int) -> list[Entry]:
    wanted = {
        "event": line.pk,
        "served": line.served,
        "types": list(left),
        "tickets_left": [each.tickets for each in left.values()],
        "limits": [each.max_per_user for each in left.values()],
        "most": most,
    }
    return list(Entry.objects.raw(sql.ENTRIES_NEXT, wanted))


def _turns_note(entries: Sequence[Entry], given: Sequence[Given], *, now: datetime) -> None:
    """Record the results of turns. An entry that got nothing stays, unless its owner's own tickets refused it."""
    turns = [
        (
            entry.pk,
            result.order_id,
            EntryState.GIVEN
            if result.order_id is not None
            else EntryState.PASSED
            if result.own
            else EntryState.WAITING,
        )
        for entry, result in zip(entries, given, strict=True)
    ]
    if turns:
        ids, orders, states = (list(column) for column in zip(*turns, strict=True))
        db.rows(
            sql.TURNS_NOTE,
            {"ids": ids, "orders": orders, "states": states, "now": now, "look_by": now + rules.LOOK},
        )


def line_rest(*, line: Line, now: datetime) -> None:
    """Open to direct claims the types that nobody in a locked line wishes, and the whole sale when nobody waits.

    A line in which somebody waits for what cannot be given goes on: staff may change that.
    """
    wished = selectors.types_wished(event_id=line.pk, served=line.served)
    tickets.line_first_set(event_id=line.pk, types=wished, now=now)
    if wished or selectors.is_anyone_waiting(event_id=line.pk):
        line_changed(line=line, is_standing=True)
    elif line.phase == Phase.SERVING:
        rested = pace_fields(pace.rested(line_pace(line)))
        line_changed(line=line, phase=Phase.OPEN.value, is_standing=False, **rested)


def _wished_fence(line: Line, left: Mapping[int, Left], *, now: datetime) -> None:
    """Let a locked line that gives nothing now come first also for types that are newly wished. Open no type."""
    first = {each for each, of_type in left.items() if of_type.line_first}
    if not first.issuperset(selectors.types_of(event_id=line.pk)):
        wished = selectors.types_wished(event_id=line.pk, served=line.served)
        tickets.line_first_set(event_id=line.pk, types=first | wished, now=now)


def line_changed(*, line: Line, **changes: Any) -> None:
    """Change fields of a locked line and announce it, if anything changes."""
    changed = [name for name, value in changes.items() if getattr(line, name) != value]
    if changed:
        for name in changed:
            setattr(line, name, changes[name])
        line.save(update_fields=changed)
        db.after_commit(partial(projections.announce_line, event_id=line.pk))


def orders_looked_at(*, buyer_id: int, orders: Collection[int], now: datetime) -> None:
    """Record that a buyer sees these orders, so that holds that a line gave do not pass to the next person."""
    if orders:
        given = Entry.objects.filter(buyer_id=buyer_id, order_id__in=orders, state=EntryState.GIVEN)
        given.filter(looked_at=None).update(looked_at=now)


def entries_end(*, buyer_id: int) -> None:
    """Take a person who is erased out of all lines.

    Its caller has locked the person's own row, and afterwards waits only for rows of that person.
    """
    db.transaction_required()
    Entry.objects.filter(buyer_id=buyer_id, state=EntryState.WAITING).update(state=EntryState.LEFT)


def entry_lapse(*, entry_id: int, now: datetime) -> None:
    """End a given entry whose hold was not looked at in time, and release what is still held of it.

    A buyer who began to pay has looked.
    """
    db.transaction_required()
    lapsing = Entry.objects.select_for_update(no_key=True).filter(
        pk=entry_id, state=EntryState.GIVEN, looked_at=None, look_by__lte=now
    )
    entry = lapsing.first()
    if entry is None or entry.order_id is None:
        return
    order, now = tickets.order_lock(order_id=entry.order_id)
    held = [each for each in order if each.state == Reservation.State.HELD]
    if any(each.state in (Reservation.State.PAYING, Reservation.State.VALIDATED) for each in order):
        Entry.objects.filter(pk=entry.pk).update(looked_at=now)
        return
    tickets.reservations_release(reservations=held, now=now)
    Entry.objects.filter(pk=entry.pk).update(state=EntryState.PASSED)
