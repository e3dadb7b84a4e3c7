"""Who may enter a line, and how a place follows from the draw: decisions on plain values."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from overlord.kernel.errors import Conflict, Invalid
from tickets.rules import check_items

LOBBY = timedelta(minutes=30)  # before the sale opens
LOOK = timedelta(minutes=3)  # in which a given hold must be looked at
MOST_CHOICES = 2

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


class LineClosed(Conflict):
    code = "line_closed"
    sentence = "Nobody can enter this line now."


def check_choices(choices: Sequence[Items], *, types: Iterable[int]) -> None:
    """Raise Invalid unless each choice can be one order of these ticket types, those of the event."""
    known = set(types)
    for field, items in zip(("items", "second"), choices, strict=False):
        check_items([ticket_type for ticket_type, _ in items])
        if not {ticket_type for ticket_type, _ in items} <= known:
            sentence = "All ticket types must be of this event."
            raise Invalid(sentence, errors={field: [sentence]})


def draw_key(*, seed: str, digest: str, number: int) -> str:
    """Return what decides the place of a number, as hexadecimal digits: the smallest one has the first place."""
    return hashlib.sha256(f"{seed} {digest} {number}".encode()).hexdigest()


def place_of(seed: str, digest: str, drawn: int, number: int) -> int:
    """Return the place of a number by the published rule: drawn up to `drawn`, later ones in order of arrival."""
    if number > drawn:
        return number
    mine = draw_key(seed=seed, digest=digest, number=number)
    return sum(draw_key(seed=seed, digest=digest, number=each) <= mine for each in range(1, drawn + 1))


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


def pace(*, served: int, since: datetime, now: datetime) -> int:
    """Return how many places a minute were served on the average."""
    return round(served * 60 / max(1.0, (now - since).total_seconds()))
