"""How a line and an entry look to clients, the same in HTTP answers and on streams."""

from collections.abc import Sequence
from typing import Any

from tickets.line import rules
from tickets.line.models import Entry, Line, StaffAction
from tickets.line.rules import EntryState, PassedBecause, Phase, Sale


def line(shown: Line | None, *, sale: Sale, public_name: str | None) -> dict[str, Any]:
    """Return a line as clients see it. `shown` is None until its lobby opens. The seed is secret until the draw."""
    times = {"opens_at": sale.opens_at, "closes_at": sale.closes_at, "cancelled": sale.is_cancelled}
    if shown is None:
        nothing = dict.fromkeys(("commitment", "seed", "digest", "drawn", "most_per_minute", "public_value"))
        counts = {"entries": 0, "served": 0, "per_minute": 0}
        stands = {"held": False, "standing": False, "message": "", "public_name": public_name}
        return {"phase": Phase.CLOSED, **counts, **nothing, **stands, **times}
    return {
        "phase": shown.phase,
        "entries": shown.entered,
        "commitment": shown.commitment,
        "seed": None if shown.phase == Phase.LOBBY else shown.seed,
        "digest": shown.digest,
        "drawn": shown.drawn,
        "served": shown.served,
        "per_minute": shown.per_minute,
        "held": shown.is_held,
        "standing": shown.is_standing,
        "most_per_minute": shown.most_per_minute,
        "message": shown.message,
        "public_name": shown.public_name or None,
        "public_value": shown.public_value,
        **times,
    }


def entry(shown: Entry, *, line: Line, reservations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an entry as its owner sees it, with the reservations that it was given."""
    is_waiting = shown.state == EntryState.WAITING
    ahead = rules.people_ahead(shown.place, line.served) if is_waiting else None
    stands = line.is_held or line.is_standing or (shown.place or 0) <= line.served
    items, *second = [
        [{"ticket_type": ticket_type, "amount": quantity} for ticket_type, quantity in choice]
        for choice in shown.choices
    ]
    return {
        "number": shown.number,
        "state": shown.state,
        "items": items,
        "second": second[0] if second else [],
        "entered_at": shown.entered_at,
        "place": shown.place,
        "ahead": ahead,
        "seconds": None if stands else rules.seconds_to_wait(ahead, line.per_minute),
        "look_by": shown.look_by if shown.looked_at is None and shown.state == EntryState.GIVEN else None,
        "passed_because": _passed_because(shown),
        "reservations": list(reservations),
    }


def _passed_because(shown: Entry) -> PassedBecause | None:
    """Return why an entry was passed by, or None. Only an entry that was given tickets has an order."""
    if shown.state != EntryState.PASSED:
        return None
    return PassedBecause.OWN_TICKETS if shown.order_id is None else PassedBecause.NOT_LOOKED_AT


def staff_action(shown: StaffAction) -> dict[str, Any]:
    """Return an action of staff on a line as staff see it."""
    return {"at": shown.at, "actor": shown.actor.username, "action": shown.action, "text": shown.text}
