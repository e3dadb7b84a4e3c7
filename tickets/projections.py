"""The content of this app's live streams, and the calls that announce a change.

`project_...` runs in a flush (Celery), which passes `now`. Other flushes wait for its lock, so these functions must
not ask Redis. `announce...` runs after a commit, in the process that made the change, and never raises.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from realtime import publish, streams
from tickets import availability, event_selectors, representation, selectors
from tickets.representation import Figures

NEXT_EVENTS = 200


def project_events(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the whole state of events as their streams show it, by event."""
    return selectors.events_detail(ids, now=now)


def project_next_events(_ids: Collection[int], *, now: datetime) -> dict[int, list[dict[str, Any]]]:
    """Return the next events as the stream of all events shows them, under the one id of that stream."""
    rows = event_selectors.events_next(event_selectors.events_for_buyers(now=now), most=NEXT_EVENTS)
    return {streams.ALONE: representation.events_next(rows, now=now)}


def announce(
    *,
    figures: Iterable[tuple[int, Figures]] = (),
    events: Iterable[int] = (),
    buyers: Iterable[int] = (),
    sold_in: Iterable[int] = (),
    lines: Iterable[int] = (),
    now: datetime,
) -> None:
    """Announce a change: figures with their event's id, events, and the buyers whose own streams changed.

    `sold_in` are events whose tickets were sold or returned, which changes the lists of their doors. `lines` are
    events whose lines changed too, because they show when the sale opens and ends. `now` is when the figures were
    read, or a little earlier. Clients can read the figures at once; the streams follow with the next flush.
    """
    changed = list(figures)
    names = {streams.event(event_id) for event_id, _ in changed}
    names |= {streams.event(event_id) for event_id in events}
    names |= {streams.events()} if names else set()
    names |= {streams.me(buyer_id) for buyer_id in buyers}
    names |= {streams.door(event_id) for event_id in sold_in}
    names |= {streams.line(event_id) for event_id in lines}
    kept = [
        value
        for event_id, each in changed
        for value in availability.versioned_values(event_id, [each], now=now)
    ]
    publish.streams_mark(streams=names, values=kept)


def announce_event(*, event_id: int, now: datetime) -> None:
    """Announce that staff changed an event. Clients can read its new state at once."""
    availability.refresh([event_id], now=now)
    announce(events=[event_id], lines=[event_id], now=now)


def announce_sale(*, event_id: int, buyers: Iterable[int], now: datetime) -> None:
    """Announce that the sale state of an event has changed, or that a line gave tickets of it to these buyers."""
    availability.refresh([event_id], now=now)
    announce(events=[event_id], buyers=buyers, now=now)


def announce_deleted(*, event_id: int, now: datetime) -> None:
    """Announce that an event was deleted, or is a draft again.

    Its stream and that of its line end with the close code 4404, and the list of next events leaves it out.
    """
    availability.drop(event_id)
    announce(events=[event_id], lines=[event_id], now=now)


def announce_expiring(*, holds: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Send advice to the buyers whose holds (rows of `selectors.holds_expiring`) end soon."""
    publish.advice_send(
        advice=[(streams.me(hold["buyer"]), representation.expiring(hold, now=now)) for hold in holds]
    )
