"""Who may enter a line, when a hold passes to the next entry, and how long people wait: decisions on plain values.

The rule of the draw is `sql/line_draw.sql`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from overlord.kernel.errors import Conflict, Invalid
from tickets.rules import AccountRequired, Buyers, NotEnough, OverLimit, SaleEnded, check_items

LOOK = timedelta(minutes=3)  # if nobody looks at a given hold in this time, it passes to the next entry
LONGEST_MESSAGE = 300  # characters
LONGEST_VALUE = 200
SHORT_LINE = 1_000  # entries: a line that has fewer may be read as a whole each time
READ_A_SECOND = 10_000  # entries of a line that a process reads in a second, on average
DRAWN_PART = 500  # entries: the sequence that a draw makes is kept in parts of this length

Items = Sequence[tuple[int, int]]  # ticket types, and how many of each


class Phase(StrEnum):
    """The phase of a line. CLOSED means that its lobby has not opened, or that the event has no line."""

    CLOSED = "closed"
    LOBBY = "lobby"
    SERVING = "serving"
    OPEN = "open"


class EntryState(StrEnum):
    """The state of an entry. Only entries that are WAITING are in the line."""

    WAITING = "waiting"
    GIVEN = "given"
    PASSED = "passed"
    LEFT = "left"


class PassedBecause(StrEnum):
    """Why an entry was passed by.

    NOT_LOOKED_AT means that nobody looked at the tickets that it was given. OWN_TICKETS means that its owner had
    live reservations of these types already, or would have had more tickets than the limit per person.
    """

    NOT_LOOKED_AT = "not_looked_at"
    OWN_TICKETS = "own_tickets"


@dataclass(frozen=True, kw_only=True)
class Sale:
    """When the sale of an event opens and ends, and whether the event is cancelled.

    The times are those of the ticket types that buyers see. A time is None if none of these types has it.
    """

    opens_at: datetime | None
    closes_at: datetime | None
    is_cancelled: bool


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """The facts of a ticket type that decide whether a person may wish it (`sql/line_types.sql`)."""

    ticket_type: int
    max_per_user: int
    capacity: int
    tickets_left: int
    has_ended: bool  # whether the sale of the type has ended


@dataclass(frozen=True, kw_only=True)
class EntryFacts:
    """The facts that decide whether a person may enter, read in one statement (`sql/line_entering.sql`)."""

    opens_by_draw: bool
    buyers: str
    sells: bool  # whether the event is on sale, and the sale of a type that buyers see has not ended
    types: Mapping[int, TypeFacts]
    phase: str | None  # None for CLOSED: the event has no row of a line yet
    address: str | None  # the verified address of a guest, or "" if there is none; None for an account


class Action(StrEnum):
    """An action of staff on a line."""

    HOLD = "hold"
    GO_ON = "go_on"
    SLOWER = "slower"
    FASTER = "faster"
    OPEN_NOW = "open_now"
    MESSAGE = "message"
    NAME_VALUE = "name_value"
    GIVE_VALUE = "give_value"


class LineClosed(Conflict):
    code = "line_closed"
    sentence = "Nobody can join this line now."


class EmailNotVerified(Conflict):
    code = "email_not_verified"
    sentence = "Without an account, verify your e-mail address before you join the line."


class AddressInLine(Conflict):
    code = "address_in_line"
    sentence = "Somebody with this e-mail address is already in this line."


class EntryOutdated(Conflict):
    code = "entry_outdated"
    sentence = "You no longer have this place in the line, so nothing was changed."


class LineActionRefused(Conflict):
    code = "line_action_refused"
    sentence = "This is not possible in the current state of the line."


class LineOutdated(Conflict):
    """Somebody else has changed the value that an action of staff replaces. The fact `current` is the value now."""

    code = "line_outdated"
    sentence = "Somebody else has made a change since you opened the page. Check the page again."


def check_seen(current: str, *, seen: str | None, wanted: str | None = None) -> None:
    """Raise LineOutdated if the current value is neither the one that staff saw nor the one that they want to set.

    If `seen` is None, check nothing.
    """
    if seen is not None and current not in (seen, wanted):
        raise LineOutdated(current=current)


def check_may_enter(facts: EntryFacts, *, is_guest: bool) -> None:
    """Raise LineClosed or SaleEnded if nobody may enter, AccountRequired if guests may not."""
    if not facts.opens_by_draw:
        raise LineClosed()
    if not facts.sells:
        raise SaleEnded()
    if is_guest and facts.buyers == Buyers.ACCOUNTS:
        raise AccountRequired()


def check_choices(choices: Sequence[Items], *, types: Mapping[int, TypeFacts]) -> None:
    """Check that each choice can be one order of `types`, the ticket types of the event that buyers see.

    Raise Invalid if not; OverLimit for more tickets than one person may have; NotEnough for more than the capacity;
    SaleEnded if every choice has a type whose sale has ended.
    """
    for field, items in zip(("items", "second"), choices, strict=False):
        check_items([ticket_type for ticket_type, _ in items], field=field)
        if not {ticket_type for ticket_type, _ in items} <= types.keys():
            sentence = "All ticket types must belong to this event."
            raise Invalid(sentence, errors={field: [sentence]})
        for ticket_type, quantity in items:
            _check_quantity(quantity, types[ticket_type])
    if all(any(types[ticket_type].has_ended for ticket_type, _ in items) for items in choices):
        raise SaleEnded()


def _check_quantity(quantity: int, facts: TypeFacts) -> None:
    if quantity > facts.max_per_user:
        raise OverLimit(max_per_user=facts.max_per_user, ticket_type=facts.ticket_type)
    if quantity > facts.capacity:  # so they can never be given, even if all tickets come back
        raise NotEnough(available=max(0, facts.tickets_left), ticket_type=facts.ticket_type)


def people_ahead(place: int | None, served: int) -> int | None:
    """Return how many places come before this one and are not served yet, or None before the draw."""
    return None if place is None else max(0, place - served - 1)


def seconds_between_reads(entries: int) -> float:
    """Return the seconds after which a process reads all entries of a line again, if it has heard of no change.

    They grow with the line, so that the process reads READ_A_SECOND entries a second on average.
    """
    return 0.0 if entries < SHORT_LINE else entries / READ_A_SECOND


def seconds_to_wait(ahead: int | None, per_minute: int) -> int | None:
    """Return the seconds to wait at the pace of `pace.shown`; None if the places ahead or the pace is not known."""
    if ahead is None or (ahead and not per_minute):
        return None
    return math.ceil(ahead * 60 / per_minute) if ahead else 0
