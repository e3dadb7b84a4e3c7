"""What this app shows on live streams, and the notice that it has changed."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from overlord.kernel import clock
from realtime import publish, streams
from tickets import availability, representation, selectors
from tickets.representation import Figures

NEXT_EVENTS = 200


def project_events(ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Will give the whole state of events, as their streams show it. The drain's lock is held: no Redis here."""
    statics, figures = selectors.events_with_figures(ids)
    return availability.shown(statics, figures, now=clock.now())


def project_next_events(_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Will give the next events, as the stream of all of them shows them."""
    now = clock.now()
    return {
        streams.ALONE: representation.events_next(selectors.events_next(most=NEXT_EVENTS, now=now), now=now)
    }


def announce(
    *, figures: Iterable[tuple[int, Figures]] = (), events: Iterable[int] = (), buyers: Iterable[int] = ()
) -> None:
    """Will tell the live side, after a commit, what changed: figures with their event's id, events, buyers.

    The figures are readable at once; the streams follow with the next broadcast. It never raises.
    """
    changed = list(figures)
    now = clock.now()
    names = {streams.event(event_id) for event_id, _ in changed}
    names |= {streams.event(event_id) for event_id in events}
    names |= {streams.events()} if names else set()
    names |= {streams.me(buyer_id) for buyer_id in buyers}
    kept = [entry for event_id, each in changed for entry in availability.entries(event_id, [each], now=now)]
    publish.streams_mark(streams=names, entries=kept)


def announce_event(*, event_id: int) -> None:
    """Will tell the live side, after a commit, that staff changed an event, and make its new state readable."""
    availability.refresh([event_id], now=clock.now())
    announce(events=[event_id])


def announce_expiring(*, holds: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Will advise the buyers whose holds (rows of `selectors.holds_expiring`) are near their end."""
    publish.advice_send(
        advice=[(streams.me(hold["buyer"]), representation.expiring(hold, now=now)) for hold in holds]
    )
