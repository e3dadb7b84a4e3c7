"""When staff may publish an event, make it a draft again, or pause and resume its sale; its end and its sale state.

These are decisions on plain values: nothing here reads a clock, a row or a setting. The sale state of a ticket type
is decided in `tickets.rules`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

from overlord.kernel.errors import Conflict

VENUE_LENGTH, ADDRESS_LENGTH = 200, 500


class EventStatus(StrEnum):
    """The status of an event. Only staff see a draft; a cancelled event sells nothing."""

    DRAFT = "draft"
    ON_SALE = "on_sale"
    CANCELLED = "cancelled"


class SaleState(StrEnum):
    """Whether tickets of a type, or of an event, can be reserved."""

    OPEN = "open"
    LINE = "line"  # only people who wait in line get tickets
    PAUSED = "paused"
    UPCOMING = "upcoming"
    ENDED = "ended"
    CANCELLED = "cancelled"  # the whole event is cancelled


class Switch(StrEnum):
    """What staff can do with the sale of an event at this moment."""

    PAUSE = "pause"
    RESUME = "resume"
    NOTHING = "nothing"  # all sales have ended


class Obstacle(StrEnum):
    """Why a draft cannot go on sale yet."""

    BEGUN = "begun"
    NO_TICKETS = "no_tickets"
    CLOSED = "closed"
    NO_OPENING = "no_opening"
    OPENING_PASSED = "opening_passed"


SENTENCES = {
    Obstacle.BEGUN: "The event has already begun. Change its date first.",
    Obstacle.NO_TICKETS: "There are no tickets to sell. Add a ticket type with a capacity first.",
    Obstacle.CLOSED: "The sales of all ticket types have already closed. Set later closing times first.",
    Obstacle.NO_OPENING: (
        "The sale opens by a draw. Fill in “Sale opens” for at least one ticket type that buyers see."
    ),
    Obstacle.OPENING_PASSED: (
        "The sale opens by a draw, but the time in “Sale opens” has passed, so nobody could join the line before"
        " the draw. Enter a later time."
    ),
}


@dataclass(frozen=True, kw_only=True)
class SaleOfType:
    """The facts that decide whether a ticket type has something to sell."""

    capacity: int
    closes_at: datetime
    opens_at: datetime | None = None
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class PauseOfType:
    """Whether the sale of a ticket type is paused. `alone`: staff paused this type, and not the whole event."""

    ticket_type: int
    paused: bool
    alone: bool
    closes_at: datetime


@dataclass(frozen=True, kw_only=True)
class PlaceAndTime:
    """When and where an event is, as people with tickets know it. None means that a part is not known."""

    date: datetime
    time_zone: str
    venue: str | None
    address: str | None


class NotADraft(Conflict):
    code = "not_a_draft"
    sentence = "Only a draft can be put on sale."


class NotOnSale(Conflict):
    code = "not_on_sale"
    sentence = "Only an event that is on sale can be made a draft again."


class EventReserved(Conflict):
    code = "event_reserved"
    sentence = (
        "This event cannot become a draft again, because tickets were reserved. Pause the sale of"
        " the event instead."
    )


class EventIncomplete(Conflict):
    code = "event_incomplete"
    sentence = "This event cannot go on sale yet."


class EventOutdated(Conflict):
    code = "event_outdated"
    sentence = "Somebody has changed this event since you opened the page. Check the event again."


class EventCancelled(Conflict):
    code = "event_cancelled"
    sentence = "This event is cancelled, so there is nothing to pay. You were not charged."


def event_sale_state(types: Iterable[SaleState], *, date: datetime, now: datetime) -> SaleState:
    """Return an event's sale state: the first of `SaleState` that one of its types has.

    An event without ticket types is UPCOMING until its date, because types may still be added, and then ENDED.
    """
    present = set(types)
    for state in SaleState:  # in the order of their definition
        if state in present:
            return state
    return SaleState.ENDED if now >= date else SaleState.UPCOMING


def obstacles(*, date: datetime, by_draw: bool, sales: Sequence[SaleOfType], now: datetime) -> list[Obstacle]:
    """Return all reasons why a draft with this date and these ticket types cannot go on sale."""
    found = [Obstacle.BEGUN] if date <= now else []
    closing = [each.closes_at for each in sales if each.capacity]
    if not closing:
        found.append(Obstacle.NO_TICKETS)
    elif not found and max(closing) <= now:
        found.append(Obstacle.CLOSED)
    if by_draw and lacks_opening(sales, now=now):
        found.append(Obstacle.NO_OPENING)
    elif by_draw and any(opens_at is not None and opens_at <= now for opens_at in _openings(sales, now=now)):
        found.append(Obstacle.OPENING_PASSED)
    return found


def lacks_opening(sales: Iterable[SaleOfType], *, now: datetime) -> bool:
    """Return whether buyers can still buy some ticket types, and none of these types has an opening time.

    Then the line of a draw would never begin.
    """
    openings = _openings(sales, now=now)
    return bool(openings) and all(opens_at is None for opens_at in openings)


def _openings(sales: Iterable[SaleOfType], *, now: datetime) -> list[datetime | None]:
    """Return the opening times of the types that buyers can still buy. A line opens at the earliest one."""
    return [each.opens_at for each in sales if not each.hidden and each.closes_at > now]


def check_publishable(
    status: EventStatus | str, *, date: datetime, by_draw: bool, sales: Sequence[SaleOfType], now: datetime
) -> None:
    """Raise NotADraft or EventIncomplete unless a draft with this date and these ticket types can go on sale."""
    if status != EventStatus.DRAFT:
        raise NotADraft()
    for obstacle in obstacles(date=date, by_draw=by_draw, sales=sales, now=now):
        raise EventIncomplete(SENTENCES[obstacle])


def check_unpublishable(status: EventStatus | str, *, reserved: bool) -> None:
    """Raise NotOnSale or EventReserved unless an event with this status can be made a draft again."""
    if status != EventStatus.ON_SALE:
        raise NotOnSale()
    if reserved:
        raise EventReserved()


def resumed(types: Iterable[PauseOfType], *, now: datetime) -> list[int]:
    """Return the ids of the paused ticket types that are on sale again when staff resume the sale of their event.

    Types that were paused with the event are resumed; types that staff paused one by one stay paused. But if no
    type was paused with the event, and no other type still sells, all paused types are resumed.
    """
    known = list(types)
    paused = [each for each in known if each.paused]
    with_event = [each.ticket_type for each in paused if not each.alone]
    goes_on = any(not each.paused and each.closes_at > now for each in known)
    return with_event if with_event or goes_on else [each.ticket_type for each in paused]


def switch_of(types: Iterable[tuple[bool, datetime]], *, now: datetime) -> Switch:
    """Return what staff can do with the sale of an event.

    `types` has for each ticket type whether it is paused, and when its sale ends. Types whose sale has ended do not
    count. If a type is not paused, the sale can be paused, also before it opens. If all are paused, it can be
    resumed.
    """
    going_on = {paused for paused, closes_at in types if closes_at > now}
    if not going_on:
        return Switch.NOTHING
    return Switch.PAUSE if False in going_on else Switch.RESUME


def is_paused_as_a_whole(types: Iterable[PauseOfType]) -> bool:
    """Return whether staff paused the sale of an event with these ticket types, and not only some of its types."""
    known = list(types)
    return all(each.paused for each in known) and any(not each.alone for each in known)


def end_moved(
    *, before: tuple[datetime, datetime], before_in: tzinfo, date: datetime, ends_at: datetime, now_in: tzinfo
) -> datetime:
    """Return the end of an event that begins at `date`, after an edit that gave it the end `ends_at`.

    `before` has its former date and end. If the edit changed the beginning and left the end as it was, the end
    moves too: by the same time on the clocks of the event's time zone, which was `before_in` and is `now_in`.
    """
    began, ended = (_on_clock(each, before_in) for each in before)
    shift = _on_clock(date, now_in) - began
    if not shift or _on_clock(ends_at, now_in) != ended:
        return ends_at
    begins, moved = date.astimezone(UTC), (ended + shift).replace(tzinfo=now_in).astimezone(UTC)
    # Where clocks go back, a short event could end before it begins.
    return moved if moved > begins else begins + (before[1] - before[0])


def _on_clock(instant: datetime, zone: tzinfo) -> datetime:
    """Return what the clocks of a zone show, without the zone. A form shows no parts of a second."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0, fold=0)


def check_sale_times(*, opens_at: datetime | None, closes_at: datetime) -> None:
    """Raise ValueError, with a sentence, if a sale does not open before it closes."""
    if opens_at is not None and opens_at >= closes_at:
        raise ValueError(
            "A sale must open before it closes. If no closing time is set, the sale closes when the"
            " event begins."
        )
