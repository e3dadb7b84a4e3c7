"""Use cases of lines: enter and leave a line, and all that happens as time passes. Transactions open here.

The task that serves lines runs in the upkeep worker; an advisory lock lets one process at a time do this. Even if
two did, the lock on the line's row would keep the order of places.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError
from django.db.models import Exists, OuterRef

from overlord.kernel import db
from overlord.kernel.errors import Busy, NotFound
from tickets import selectors as tickets
from tickets.line import operations, projections, representation, rules, selectors, sql, standing
from tickets.line.models import Entry, Line
from tickets.line.rules import (
    AddressInLine,
    EmailNotVerified,
    EntryOutdated,
    EntryState,
    LineClosed,
    Phase,
)

BATCH = 500  # entries whose turn comes in one transaction
PASSED_ON = 100  # the most entries that one run ends because nobody looked at their tickets
ENTER_ATTEMPTS = 3
_REFUSALS = {
    "entry_one_place_per_address": AddressInLine(),
    "entry_by_a_proven_address": EmailNotVerified(),
}


def entry_make(
    *, event_id: int, buyer_id: int, choices: Sequence[rules.Items], now: datetime
) -> tuple[dict[str, Any], bool]:
    """Enter a buyer in an event's line, or change the buyer's wish; return the entry, and whether it is new.

    Raise what `entry_check` raises; also EmailNotVerified, AddressInLine or Busy.
    """
    facts = _checked(event_id=event_id, buyer_id=buyer_id, choices=choices, now=now)
    if facts.address == "":
        raise EmailNotVerified()
    asked = {"event": event_id, "buyer": buyer_id, "choices": json.dumps(choices)}
    for _ in range(ENTER_ATTEMPTS):
        with db.constraint_errors(_REFUSALS):
            entered = db.statement(sql.ENTER, asked)
        if not entered:
            if not _lobby_is_due(event_id, now=now):
                raise LineClosed()
            lobby_open(event_id=event_id, now=now)
        elif entered[0]["due"]:
            draw(event_id=event_id)
        else:
            [row] = entered
            if row["is_new"]:
                projections.announce_line(event_id=event_id)
            if row["state"] != EntryState.WAITING:  # the line has just given tickets to this entry
                return entry_get(event_id=event_id, buyer_id=buyer_id, now=now), row["is_new"]
            return _entered(row, choices), row["is_new"]
    raise Busy()


def entry_change(
    *, event_id: int, buyer_id: int, number: int, choices: Sequence[rules.Items], now: datetime
) -> None:
    """Change the wish of the buyer's entry with this number.

    Raise EntryOutdated unless that entry waits, and what `entry_check` raises.
    """
    waiting = Entry.objects.filter(
        line_id=event_id, number=number, buyer_id=buyer_id, state=EntryState.WAITING
    )
    if not waiting.exists():
        raise EntryOutdated()
    _checked(event_id=event_id, buyer_id=buyer_id, choices=choices, now=now)
    if not waiting.update(choices=choices):
        raise EntryOutdated()


def _entered(row: Mapping[str, Any], choices: Sequence[rules.Items]) -> dict[str, Any]:
    """Return an entry that waits as its owner sees it. `row` is the answer of `sql.ENTER`."""
    entry = Entry(choices=choices, **{name: row[name] for name in ("number", "state", "place", "entered_at")})
    line = Line(**{name: row[name] for name in ("served", "per_minute", "is_held", "is_standing")})
    return representation.entry(entry, line=line, reservations=[])


def entry_check(*, event_id: int, choices: Sequence[rules.Items], now: datetime) -> None:
    """Check that a guest may enter an event's line with a wish. The guest's address is verified afterwards.

    Raise NotFound, LineClosed, SaleEnded, AccountRequired, OverLimit, NotEnough or Invalid.
    """
    _checked(event_id=event_id, buyer_id=None, choices=choices, now=now)


def _checked(
    *, event_id: int, buyer_id: int | None, choices: Sequence[rules.Items], now: datetime
) -> rules.EntryFacts:
    """Return the facts of a person who may enter; otherwise raise the reason. A visitor has no `buyer_id`."""
    facts = selectors.entry_facts(event_id=event_id, buyer_id=buyer_id, now=now)
    if facts is None:
        raise NotFound()
    rules.check_may_enter(facts, is_guest=buyer_id is None or facts.address is not None)
    rules.check_choices(choices, types=facts.types)
    if facts.phase == Phase.OPEN and selectors.is_there(event_id=event_id, items=choices[0], now=now):
        raise LineClosed("These tickets are on sale. You can reserve them directly.")
    return facts


def _lobby_is_due(event_id: int, *, now: datetime) -> bool:
    return event_id in selectors.lobbies_due(now=now)


def entry_get(*, event_id: int, buyer_id: int, now: datetime) -> dict[str, Any]:
    """Return the buyer's entry; raise NotFound. If the line gave the buyer a hold, record a look at the hold."""
    entry = selectors.entry_of(event_id=event_id, buyer_id=buyer_id, now=now)
    if entry is None:
        raise NotFound()
    if entry.state == EntryState.GIVEN and entry.looked_at is None:
        with db.transaction(awaited=False):  # a look need not wait for the standby
            Entry.objects.filter(pk=entry.pk, state=EntryState.GIVEN, looked_at=None).update(looked_at=now)
        entry.refresh_from_db()
    mine = tickets.own_reservations_in_event(buyer_id=buyer_id, event_id=event_id, now=now)
    given = [each for each in mine if entry.order_id is not None and each["order"] == entry.order_id]
    return representation.entry(entry, line=Line.objects.get(pk=event_id), reservations=given)


def entry_leave(*, event_id: int, buyer_id: int) -> None:
    """Let a buyer leave an event's line; raise NotFound if the buyer does not wait in it."""
    waiting = Entry.objects.filter(line_id=event_id, buyer_id=buyer_id, state=EntryState.WAITING)
    if not waiting.update(state=EntryState.LEFT):
        raise NotFound()


def entries_follow(*, guest_id: int, buyer_id: int) -> None:
    """Move the waiting entries of a guest to the account to which the guest logs in.

    If the account waits in the same line already, it keeps its own entry, and the guest's entry ends. An entry that
    was given tickets follows with its order (`operations.entry_follow`), and stays if the order stays.
    If a worker is giving tickets to a waiting entry of the guest, this function waits for the worker. So call it
    before the orders move: then the order that the worker makes moves too.
    """
    with db.transaction():
        if not _entries_move(guest_id=guest_id, buyer_id=buyer_id):
            # The account has entered one of these lines at this moment. This time its entry is found.
            _entries_move(guest_id=guest_id, buyer_id=buyer_id)


def _entries_move(*, guest_id: int, buyer_id: int) -> bool:
    """Move the waiting entries; return False, and move none, if the account enters one of these lines meanwhile."""
    here = Entry.objects.filter(buyer_id=guest_id, state=EntryState.WAITING)
    twice = Entry.objects.filter(line_id=OuterRef("line_id"), buyer_id=buyer_id, state=EntryState.WAITING)
    here.filter(Exists(twice)).update(state=EntryState.LEFT)
    try:
        with db.savepoint():
            here.update(buyer_id=buyer_id)
    except IntegrityError:
        return False
    return True


def proof(*, event_id: int) -> dict[str, Any]:
    """Return the facts from which anyone can compute every place of the draw; raise NotFound before the draw."""
    found = selectors.proof(event_id=event_id)
    if found is None:
        raise NotFound()
    return found


# Giving --------------------------------------------------------------------------------------------------
def lobby_open(*, event_id: int, now: datetime) -> None:
    """Open the lobby of an event: choose the seed and publish its hash. A repetition keeps the first seed.

    Do nothing if staff have meanwhile deleted the event or taken it off sale, or if it no longer opens by a draw.
    """
    seed = secrets.token_hex(32)
    commitment = sha256(seed.encode()).hexdigest()
    with db.transaction():
        if not operations.event_lock(event_id=event_id):
            return
        Line.objects.bulk_create(
            [
                Line(
                    event_id=event_id,
                    seed=seed,
                    commitment=commitment,
                    public_name=selectors.public_names([event_id]).get(event_id, ""),
                )
            ],
            ignore_conflicts=True,
        )
        line = operations.line_lock(event_id=event_id)
        if line is not None and line.phase == Phase.LOBBY:
            types = selectors.types_of(event_id=event_id)
            operations.line_begin(line=line, types=types, now=now)


def draw(*, event_id: int) -> int | None:
    """Draw the places of an event's line in one statement; return how many.

    Return None if it was drawn before, if its sale does not open yet, or if the draw waits for the public value.
    """
    drawn = db.statement(sql.DRAW, {"event": event_id})
    projections.announce_line(event_id=event_id)
    return drawn[0]["drawn"] if drawn else None


def serve(*, event_id: int, hold: timedelta, now: datetime) -> int:
    """Give tickets to a batch of people in an event's line, in one transaction; return how many were tried."""
    with db.transaction():
        line = operations.line_lock(event_id=event_id)
        if line is None or line.phase == Phase.LOBBY:
            return 0
        return operations.line_serve(line=line, most=BATCH, hold=hold, now=now)


def time_passed(*, hold: timedelta, now: datetime) -> int:
    """Do what is due in all lines: open lobbies, draw, pass on holds that nobody looked at, give tickets.

    Return how many entries had a turn. An error in one line is logged, and the other lines go on.
    """
    if not selectors.may_work(now=now):
        return 0
    for event_id in selectors.lobbies_due(now=now):
        with db.errors_logged("opening the lobby of event", event_id):
            lobby_open(event_id=event_id, now=now)
    for entry_id in selectors.entries_to_pass_on(now=now, most=PASSED_ON):
        with db.errors_logged("ending what was given to entry", entry_id), db.transaction():
            operations.entry_pass_on(entry_id=entry_id, now=now)
    lines = selectors.lines_at_work(now=now)
    sales = selectors.sales([line.pk for line in lines], now=now)
    tried = 0
    for line in lines:
        with db.errors_logged("serving the line of event", line.pk):
            tried += _line_advance(line, sale=sales.get(line.pk), hold=hold, now=now)
    return tried


def _line_advance(line: Line, *, sale: rules.Sale | None, hold: timedelta, now: datetime) -> int:
    """Draw a line if its draw is due, then give tickets to its next people; return how many people were tried."""
    opens_at = sale.opens_at if sale else None
    awaits_value = bool(line.digest and line.public_name and line.public_value is None)
    if line.phase == Phase.LOBBY:
        is_due = opens_at is not None and opens_at <= now and not awaits_value
        if not is_due or draw(event_id=line.pk) is None:
            return 0  # nobody has a place yet
    state = standing.state_of(line)
    if not standing.is_due(line, state) or not selectors.is_worth_serving(event_id=line.pk):
        return 0
    turns = serve(event_id=line.pk, hold=hold, now=now)
    standing.tried(line, state, turns=turns)
    return turns


def serve_all(*, instants: Iterable[datetime], hold: timedelta) -> None:
    """Do what is due in all lines at each of the instants. One process at a time does this.

    The iterator waits until the next instant has come. Instants are by the clock of PostgreSQL, because a pace is
    measured between them.
    """
    with db.advisory_lock("tickets.line") as lock:
        for now in instants:
            if lock.is_mine():
                while time_passed(hold=hold, now=now):
                    now = db.now()
