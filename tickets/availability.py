"""Availability as many readers see it: from Redis while it is fresh, from PostgreSQL otherwise.

A hash per event keeps what staff edit and each ticket type's figures as versioned values, for 15 minutes. Every
change writes its figures there after its commit (only if newer), so that a client's next read shows it. What
nobody confirmed for `TRUSTED` is read again: a process that died between commit and notice misleads nobody
for longer. Nothing here decides a claim.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from overlord.kernel.errors import NotFound
from realtime import publish
from tickets import representation, selectors
from tickets.representation import Figures

TRUSTED = timedelta(seconds=3)
STATIC = "static"


def entries(event_id: int, figures: Iterable[Figures], *, now: datetime) -> list[publish.Entry]:
    """Will give the versioned values that keep these figures."""
    return [_entry(event_id, str(each.ticket_type), each.version, each.as_plain(), now) for each in figures]


def event_detail(*, event_id: int, now: datetime) -> dict[str, Any]:
    """Will show an event as `GET /event/events/<id>/` does; raises NotFound."""
    return _cached(event_id, now=now) or refresh([event_id], now=now).get(event_id) or _missing()


def ticket_type_detail(*, ticket_type: int, now: datetime) -> dict[str, Any]:
    """Will show one ticket type as `GET /event/tickets/<id>/` does; raises NotFound."""
    event_id = selectors.event_of_type(ticket_type)
    tickets = [] if event_id is None else event_detail(event_id=event_id, now=now)["tickets"]
    return next((ticket for ticket in tickets if ticket["id"] == ticket_type), None) or _missing()


def refresh(event_ids: list[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Will read events from PostgreSQL, in bulk, keep them for other readers, and show them."""
    statics, figures = selectors.events_with_figures(event_ids)
    kept: list[publish.Entry] = []
    for event_id, static in statics.items():
        kept.append(_entry(event_id, STATIC, static["version"], static, now))
        kept.extend(entries(event_id, figures[event_id].values(), now=now))
    publish.entries_write(entries=kept)
    return shown(statics, figures, now=now)


def shown(
    statics: Mapping[int, Mapping[str, Any]], figures: Mapping[int, Mapping[int, Figures]], *, now: datetime
) -> dict[int, dict[str, Any]]:
    """Will show events that `selectors.events_with_figures` read."""
    return {
        event_id: representation.event_detail(static, figures[event_id], now=now)
        for event_id, static in statics.items()
    }


def _cached(event_id: int, *, now: datetime) -> dict[str, Any] | None:
    """Will show an event from what is kept; None when something of it is missing, too old, or of another version
    of this program, which kept it in another form."""
    kept = publish.entries_read(key=_key(event_id))
    if not kept or STATIC not in kept:
        return None
    try:
        return _from_kept(kept, now=now)
    except (KeyError, TypeError, ValueError):
        return None


def _from_kept(kept: dict[str, Any], *, now: datetime) -> dict[str, Any] | None:
    static = kept[STATIC]["value"]
    wanted = [STATIC, *(str(ticket_type["id"]) for ticket_type in static["ticket_types"])]
    oldest = now - TRUSTED
    if any(field not in kept or datetime.fromisoformat(kept[field]["seen"]) < oldest for field in wanted):
        return None
    static["date"] = datetime.fromisoformat(static["date"])
    figures = {int(field): Figures.from_plain(kept[field]["value"]) for field in wanted if field != STATIC}
    return representation.event_detail(static, figures, now=now)


def _key(event_id: int) -> str:
    return f"event:{event_id}"


def _entry(event_id: int, field: str, version: int, value: Any, seen: datetime) -> publish.Entry:
    return publish.Entry(
        key=_key(event_id), field=field, version=version, value={"seen": seen, "value": value}
    )


def _missing() -> NoReturn:
    raise NotFound("There is no such event or ticket type.")
