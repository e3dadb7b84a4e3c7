"""Who may enter a line, and how a place follows from the draw: decisions on plain values."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from overlord.kernel.errors import Conflict, Invalid
from tickets.rules import AccountRequired, Buyers, SaleEnded, check_items

LOOK = timedelta(minutes=3)  # in which a given hold must be looked at
MOST_CHOICES = 2
LONGEST_MESSAGE = 300  # characters
LONGEST_VALUE = 200
FASTEST = 6_000  # places a minute; what is faster needs no limit
PACE_MEMORY = timedelta(seconds=30)  # the measured pace forgets what is longer ago
LONGEST_RUN = timedelta(seconds=5)  # what a slowed line may catch up at once

Items = Sequence[tuple[int, int]]  # ticket types, and how many of each


class Phase(StrEnum):
    """Where a line is. CLOSED: its lobby has not opened, or the event has no line."""

    CLOSED = "closed"
    LOBBY = "lobby"
    SERVING = "serving"
    OPEN = "open"


class EntryState(StrEnum):
    """Where an entry is. Only WAITING ones are in the line."""

    WAITING = "waiting"
    GIVEN = "given"
    PASSED = "passed"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class Sale:
    """When the sale of an event opens and ends, None while it has no ticket types, and whether it is cancelled."""

    opens_at: datetime | None
    closes_at: datetime | None
    is_cancelled: bool


@dataclass(frozen=True, kw_only=True)
class EntryFacts:
    """What decides whether somebody may enter, read in one statement (`sql/entering.sql`)."""

    opens_by_draw: bool
    buyers: str
    sells: bool
    types: list[int]
    phase: str | None  # None: the lobby has not opened
    address: str | None  # that a guest has verified; "" if none, None for an account


class Action(StrEnum):
    """What staff can do to a line."""

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
    sentence = "Nobody can enter this line now."


class EmailNotVerified(Conflict):
    code = "email_not_verified"
    sentence = "A guest verifies an e-mail address before entering a line."


class AddressInLine(Conflict):
    code = "address_in_line"
    sentence = "Somebody with this e-mail address is in this line already."


class LineActionRefused(Conflict):
    code = "line_action_refused"
    sentence = "This cannot be done to the line now."


def check_may_enter(facts: EntryFacts, *, is_guest: bool) -> None:
    """Raise LineClosed, SaleEnded or AccountRequired when nobody, or no guest, may enter."""
    if not facts.opens_by_draw:
        raise LineClosed()
    if not facts.sells:
        raise SaleEnded()
    if is_guest and facts.buyers == Buyers.ACCOUNTS:
        raise AccountRequired()


def check_choices(choices: Sequence[Items], *, types: Iterable[int]) -> None:
    """Raise Invalid unless each choice can be one order of these ticket types, those of the event."""
    known = set(types)
    for field, items in zip(("items", "second"), choices, strict=False):
        check_items([ticket_type for ticket_type, _ in items])
        if not {ticket_type for ticket_type, _ in items} <= known:
            sentence = "All ticket types must be of this event."
            raise Invalid(sentence, errors={field: [sentence]})


def draw_key(*, seed: str, digest: str, number: int, value: str | None = None) -> str:
    """Return what decides the place of a number, as hexadecimal digits: the smallest one has the first place.

    `value` is the public value that the draw mixes in, if the organiser named one.
    """
    mixed = [seed, digest, *([] if value is None else [value]), str(number)]
    return hashlib.sha256(" ".join(mixed).encode()).hexdigest()


def place_of(seed: str, digest: str, drawn: int, number: int, value: str | None = None) -> int:
    """Return the place of a number by the published rule: drawn up to `drawn`, later ones in order of arrival."""
    if number > drawn:
        return number
    mine = draw_key(seed=seed, digest=digest, number=number, value=value)
    keys = (draw_key(seed=seed, digest=digest, number=each, value=value) for each in range(1, drawn + 1))
    return sum(key <= mine for key in keys)


def digest_of(entries: Iterable[tuple[int, str]]) -> str:
    """Return the digest of the closed list: pairs of number and time of entry, by number."""
    return hashlib.sha256("\n".join(f"{number} {at}" for number, at in entries).encode()).hexdigest()


def people_ahead(place: int | None, served: int) -> int | None:
    """Return how many places come before this one; None before the draw."""
    return None if place is None else max(0, place - served - 1)


def seconds_to_wait(ahead: int | None, per_minute: int) -> int | None:
    """Return how long the wait is at the measured pace, in seconds; None while it is not known."""
    if ahead is None or (ahead and not per_minute):
        return None
    return math.ceil(ahead * 60 / per_minute) if ahead else 0


def pace(*, before: int, served: int, since: datetime, now: datetime) -> int:
    """Return how many places a minute are served: the pace `before`, moved towards that of the places just served.

    `since` is when places were served the time before. What lies longer back than PACE_MEMORY counts little.
    """
    passed = max(0.001, (now - since).total_seconds())
    latest = served * 60 / passed
    weight = 1.0 if before == 0 else 1 - math.exp(-passed / PACE_MEMORY.total_seconds())
    return round(before + weight * (latest - before))


def turns_now(*, most_per_minute: int | None, moved_at: datetime, now: datetime) -> int | None:
    """Return how many turns may come now in a line that staff have slowed; None when nothing limits them."""
    if most_per_minute is None:
        return None
    passed = min(now - moved_at, LONGEST_RUN) / timedelta(minutes=1)
    return max(0, math.floor(passed * most_per_minute))


def slower(*, most_per_minute: int | None, per_minute: int) -> int:
    """Return the limit of a line that staff slow down: half of what it is, or of the measured pace."""
    return max(1, (most_per_minute or min(per_minute, FASTEST) or FASTEST) // 2)


def faster(*, most_per_minute: int | None) -> int | None:
    """Return the limit of a line that staff speed up: twice what it is, or none; raise LineActionRefused."""
    if most_per_minute is None:
        raise LineActionRefused("The line moves as fast as it can.")
    return most_per_minute * 2 if most_per_minute * 2 < FASTEST else None
