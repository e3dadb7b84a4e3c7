"""Steps of a line inside an open transaction.

Locks are taken in one order: the event, the line, the event's inventories by id, then waiting entries by place.
Here only the opening of a lobby and the naming of a public value lock the event. After a transaction has locked a
waiting entry, it waits neither for the line nor for an inventory. An entry that was given tickets is locked before
its reservations.
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
from tickets.models import Event, Reservation
from tickets.operations import Basket, Given, Left


def event_lock(*, event_id: int) -> bool:
    """Lock an event against edits and deletion; return whether it is on sale and opens by a draw."""
    db.transaction_required()
    return bool(db.rows(sql.EVENT_LOCK, {"event": event_id}))


def lobby_lock(*, event_id: int) -> None:
    """Lock an event, so that its lobby does not open while this transaction runs."""
    db.transaction_required()
    Event.objects.select_for_update(no_key=True).filter(pk=event_id).first()


def line_lock(*, event_id: int) -> Line | None:
    """Lock a line and return it, or None if the event has none. Only one worker at a time serves a locked line."""
    db.transaction_required()
    return Line.objects.select_for_update(no_key=True).filter(pk=event_id).first()


def line_begin(*, line: Line, types: Collection[int], now: datetime) -> None:
    """Let people in a locked line get tickets of these types of its event first, and announce the line."""
    tickets.line_first_set(event_id=line.pk, types=types, now=now)
    db.after_commit(partial(projections.announce_line, event_id=line.pk))


def line_serve(*, line: Line, most: int, hold: timedelta, now: datetime) -> int:
    """Give tickets to the next people in a locked line, at most `most` of them; return how many were tried.

    They are served in the order of their places. An entry whose wish is not available keeps its place, and is tried
    again before those behind it. When nobody waits any more, the sale opens to direct claims. If staff have paused
    the line, nobody is served; if they have set a limit, the turns keep to it.
    """
    left = tickets.inventories_lock(event_id=line.pk)
    if line.is_held:
        _line_first_extend(line, left, now=now)
        return 0
    if not any(each.tickets for each in left.values()):
        line_rest(line=line, now=now)  # no tickets are left: the line stands still until some come back
        return 0
    turns = pace.turns_now(line_pace(line), now=now)
    if turns == 0:
        _line_first_extend(line, left, now=now)
        return 0
    drawn_parts_make(line=line)
    entries = _entries_next(line, left, most=most if turns is None else min(turns, most))
    baskets = [Basket(buyer_id=each.buyer_id, choices=_possible(each.choices, left)) for each in entries]
    given = tickets.orders_give(event_id=line.pk, baskets=baskets, hold=hold, now=now) if baskets else []
    _turns_note(entries, given, now=now)
    if entries:
        _line_moved(line, entries, now=now)
    # Somebody may still wait although no entry was locked: the statement may have found an entry whose owner left
    # before it was locked. Then nothing happens here, and the next call finds the next entry.
    elif not selectors.is_anyone_behind(event_id=line.pk, served=line.served):
        line_changed(line=line, served=line.entered)  # each number has a place, so this is the last place
        line_rest(line=line, now=now)
    return len(entries)


def _possible(choices: Sequence[rules.Items], left: Mapping[int, Left]) -> list[rules.Items]:
    """Return the choices whose types all have tickets left. A type that was hidden or deleted has none.

    Quantities are cut to the limit per person, because staff may have lowered the limit after the person entered.
    """
    return [
        [(each, min(quantity, left[each].max_per_user)) for each, quantity in choice]
        for choice in choices
        if all(each in left and left[each].tickets for each, _ in choice)
    ]


def _line_moved(line: Line, entries: Sequence[Entry], *, now: datetime) -> None:
    """Count the places that were served, and measure the pace.

    If a line that stood still has now given all tickets that came back, it stands still again.
    """
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
    """Return the pace of a line, from its fields."""
    return Pace(
        limit=line.most_per_minute,
        since=line.moved_at,
        places=line.measured_places,
        seconds=line.measured_seconds,
    )


def pace_fields(moving: Pace) -> dict[str, Any]:
    """Return the fields of a line that store a pace."""
    return {
        "most_per_minute": moving.limit,
        "moved_at": moving.since,
        "measured_places": moving.places,
        "measured_seconds": moving.seconds,
        "per_minute": pace.shown(moving),
    }


def drawn_parts_make(*, line: Line) -> None:
    """Write the order of the places that the draw of a locked line gave, unless it is written already."""
    db.rows(sql.DRAWN_PARTS_MAKE, {"event": line.pk, "size": rules.DRAWN_PART})


def _entries_next(line: Line, left: Mapping[int, Left], *, most: int) -> list[Entry]:
    """Lock and return the entries to try next, by place: at most `most` (`sql/entries_next.sql`)."""
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
    """Record the results of turns.

    If tickets were left, but the owner's own tickets or the limit per person prevented the order, the entry is
    passed by. Any other entry that was given nothing goes on waiting.
    """
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
    """Let anyone claim the types that nobody in a locked line wishes. If nobody waits, open the whole sale.

    If somebody still waits, the line stands still. This is so even if the wish cannot be fulfilled now, because
    staff may change what prevents it: the capacity, a hidden type, the end of a sale.
    """
    wished = selectors.types_wished(event_id=line.pk, served=line.served)
    tickets.line_first_set(event_id=line.pk, types=wished, now=now)
    if wished or selectors.is_anyone_waiting(event_id=line.pk):
        line_changed(line=line, is_standing=True)
    elif line.phase == Phase.SERVING:
        rested = pace_fields(pace.rested(line_pace(line)))
        line_changed(line=line, phase=Phase.OPEN.value, is_standing=False, **rested)


def _line_first_extend(line: Line, left: Mapping[int, Left], *, now: datetime) -> None:
    """Let the people in a locked line come first for all types that they wish.

    The line gives nothing at the moment. Types that nobody wishes stay as they are.
    """
    first = {each for each, of_type in left.items() if of_type.line_first}
    if not first.issuperset(selectors.types_of(event_id=line.pk)):
        wished = selectors.types_wished(event_id=line.pk, served=line.served)
        tickets.line_first_set(event_id=line.pk, types=first | wished, now=now)


def line_changed(*, line: Line, **changes: Any) -> None:
    """Change fields of a locked line. If one of them changes, announce the line."""
    changed = [name for name, value in changes.items() if getattr(line, name) != value]
    if changed:
        for name in changed:
            setattr(line, name, changes[name])
        line.save(update_fields=changed)
        db.after_commit(partial(projections.announce_line, event_id=line.pk))


def orders_looked_at(*, buyer_id: int, orders: Collection[int], now: datetime) -> None:
    """Record that a buyer sees these orders. Their holds from a line are then not passed on to the next person."""
    if orders:
        given = Entry.objects.filter(buyer_id=buyer_id, order_id__in=orders, state=EntryState.GIVEN)
        given.filter(looked_at=None).update(looked_at=now)


def entry_follow(*, order_id: int, guest_id: int, buyer_id: int) -> None:
    """Move the entry that was given a guest's order to the account that the order now belongs to."""
    db.transaction_required()
    given = Entry.objects.filter(buyer_id=guest_id, order_id=order_id, state=EntryState.GIVEN)
    given.update(buyer_id=buyer_id)


def entries_end(*, buyer_id: int) -> None:
    """Let a person who is erased leave all lines.

    The caller has locked the person's user row. After this call the caller waits for no line and no inventory: a
    worker that has locked these may wait for the entries.
    """
    db.transaction_required()
    Entry.objects.filter(buyer_id=buyer_id, state=EntryState.WAITING).update(state=EntryState.LEFT)


def entry_pass_on(*, entry_id: int, now: datetime) -> None:
    """End an entry that was given a hold at which nobody looked in time, and release what is left of the hold.

    If the buyer has begun to pay, this counts as a look, and the entry keeps its hold.
    """
    db.transaction_required()
    overdue = Entry.objects.select_for_update(no_key=True).filter(
        pk=entry_id, state=EntryState.GIVEN, looked_at=None, look_by__lte=now
    )
    entry = overdue.first()
    if entry is None or entry.order_id is None:
        return
    order, now = tickets.order_lock(order_id=entry.order_id)
    held = [each for each in order if each.state == Reservation.State.HELD]
    if any(each.state in (Reservation.State.PAYING, Reservation.State.VALIDATED) for each in order):
        Entry.objects.filter(pk=entry.pk).update(looked_at=now)
        return
    tickets.reservations_release(reservations=held, now=now)
    Entry.objects.filter(pk=entry.pk).update(state=EntryState.PASSED)
