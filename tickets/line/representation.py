"""How a line and an entry look to clients, by HTTP and on sockets alike."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tickets.line import rules
from tickets.line.models import Entry, Line
from tickets.line.rules import EntryState, Phase


def line(shown: Line | None, *, opens_at: datetime | None) -> dict[str, Any]:
    """Return a line; None is one whose lobby has not opened. The seed is secret until the draw."""
    if shown is None:
        nothing = dict.fromkeys(("commitment", "seed", "digest", "drawn"))
        counts = {"entries": 0, "served": 0, "per_minute": 0}
        return {"phase": Phase.CLOSED, **counts, **nothing, "opens_at": opens_at}
    return {
        "phase": shown.phase,
        "entries": shown.entered,
        "commitment": shown.commitment,
        "seed": shown.seed if shown.drawn is not None else None,
        "digest": shown.digest,
        "drawn": shown.drawn,
        "served": shown.served,
        "per_minute": shown.per_minute,
        "opens_at": opens_at,
    }


def entry(shown: Entry, *, line: Line, reservations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an entry to its owner, with the reservations it was given."""
    is_waiting = shown.state == EntryState.WAITING
    ahead = rules.people_ahead(shown.place, line.served) if is_waiting else None
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
        "seconds": rules.seconds_to_wait(ahead, line.per_minute),
        "look_by": shown.look_by if shown.looked_at is None and shown.state == EntryState.GIVEN else None,
        "reservations": list(reservations),
    }
