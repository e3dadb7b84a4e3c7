"""Helpers for tests of a line: an event that opens by a draw, and people who enter its line."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import count
from types import SimpleNamespace
from typing import Any

from django.db.models import F
from django.utils import timezone

from overlord.accounts import guests
from overlord.accounts.models import User
from tickets.line import rules, services
from tickets.line.models import Entry, Line
from tickets.models import Event, Inventory, Reservation, TicketType

HOLD = timedelta(minutes=15)


def line_make(make: Callable[..., TicketType], *capacities: int) -> list[TicketType]:
    """Make an event whose lobby is open and whose sale opens in ten minutes; return its ticket types."""
    opens_at = timezone.now() + timedelta(minutes=10)
    first = make(capacity=capacities[0], opens_at=opens_at)
    rest = [make(capacity=each, event=first.event, opens_at=opens_at) for each in capacities[1:]]
    Event.objects.filter(pk=first.event_id).update(opening="draw")
    services.time_passed(hold=HOLD, now=timezone.now())
    return [first, *rest]


def people(count: int) -> list[int]:
    """Make this number of buyers, and return their ids."""
    already = User.objects.count()
    made = [
        User(username=f"person{already + n}", email=f"person{already + n}@example.org") for n in range(count)
    ]
    return [user.pk for user in User.objects.bulk_create(made)]


def enter(
    ticket_type: TicketType, buyer_id: int, quantity: int = 1, *, second: rules.Items = ()
) -> dict[str, Any]:
    """Enter a buyer who wishes tickets of a type."""
    choices: list[rules.Items] = [[(ticket_type.pk, quantity)], *([list(second)] if second else [])]
    return services.entry_make(
        event_id=ticket_type.event_id, buyer_id=buyer_id, choices=choices, now=timezone.now()
    )[0]


def logged_in(guest: User, account: User) -> None:
    """Let a guest log in to an account: what the guest has follows, of the line and of the apps above."""
    request: Any = SimpleNamespace(session={})
    guests.guest_logged_in(request, guest_id=guest.pk, user=account)


def hold_already(ticket_type: TicketType, buyer_id: int) -> None:
    """Reserve a ticket of a type for a buyer, past the line."""
    now = timezone.now()
    Reservation.objects.create(
        buyer_id=buyer_id, ticket_type=ticket_type, quantity=1, unit_price_minor=1500, currency="EUR",
        created=now, expires_at=now + HOLD,
    )  # fmt: skip
    Inventory.objects.filter(pk=ticket_type.pk).update(held=F("held") + 1)


def open_sale(types: Sequence[TicketType]) -> None:
    """Let the sale open now."""
    Inventory.objects.filter(pk__in=[each.pk for each in types]).update(
        opens_at=timezone.now() - timedelta(seconds=1)
    )


def draw_in_order(event_id: int, numbers: Sequence[int]) -> None:
    """Choose a seed with which the draw gives the places to all these numbers in this order."""
    entries = Entry.objects.filter(line_id=event_id).order_by("number")
    digest = digest_of(entries)
    for n in count():
        seed = sha256(str(n).encode()).hexdigest()
        if list(numbers) == sorted(numbers, key=partial(draw_key, seed, digest)):
            commitment = sha256(seed.encode()).hexdigest()
            Line.objects.filter(pk=event_id, phase="lobby").update(seed=seed, commitment=commitment)
            return


def digest_of(entries: Iterable[Entry]) -> str:
    """Return the digest of a closed list, by the published rule."""
    listed = (f"{each.number} {each.entered_at:%Y-%m-%dT%H:%M:%S.%fZ}" for each in entries)
    return sha256("\n".join(listed).encode()).hexdigest()


def draw_key(seed: str, digest: str, number: int, value: str | None = None) -> str:
    """Return the key of a number in the draw, as hexadecimal digits. The smallest key has the first place.

    `value` is the public value that the draw mixes in, if the organiser named one.
    """
    mixed = [seed, digest, *([] if value is None else [value]), str(number)]
    return sha256(" ".join(mixed).encode()).hexdigest()


def place_of(seed: str, digest: str, drawn: int, number: int, value: str | None = None) -> int:
    """Return the place of a number by the published rule: drawn up to `drawn`, later ones in order of arrival."""
    if number > drawn:
        return number
    mine = draw_key(seed, digest, number, value)
    return sum(draw_key(seed, digest, each, value) <= mine for each in range(1, drawn + 1))


def serve_all(ticket_type: TicketType) -> None:
    """Let time pass until no turn comes any more."""
    while services.time_passed(hold=HOLD, now=timezone.now()):
        pass


def states(event_id: int) -> list[str]:
    """Return the states of a line's entries, by place."""
    entries = Entry.objects.filter(line_id=event_id).order_by("place", "number")
    return list(entries.values_list("state", flat=True))


def check(event_id: int) -> None:
    """Check I1 and I10: counters are the reservations, and each person has one place, by the draw's rule."""
    for inventory in Inventory.objects.filter(ticket_type__event_id=event_id):
        live = Reservation.objects.filter(ticket_type_id=inventory.pk, state__in=["held", "paying"])
        assert inventory.held == sum(live.values_list("quantity", flat=True))
        paid = Reservation.objects.filter(ticket_type_id=inventory.pk, state="validated")
        assert inventory.sold == sum(paid.values_list("quantity", flat=True))
        assert inventory.held + inventory.sold <= inventory.capacity
    line = Line.objects.filter(pk=event_id).first()
    if line is None:
        return
    entries = list(Entry.objects.filter(line_id=event_id).order_by("number"))
    assert [each.number for each in entries] == list(range(1, line.entered + 1))
    waiting = [each.buyer_id for each in entries if each.state == "waiting"]
    assert len(waiting) == len(set(waiting))
    if line.phase == "lobby":
        assert all(each.place is None for each in entries)
        return
    assert line.drawn is not None
    assert line.digest is not None
    assert line.digest == digest_of(entries[: line.drawn])
    keys = {
        each.number: draw_key(line.seed, line.digest, each.number, line.public_value)
        for each in entries[: line.drawn]
    }
    drawn = {number: place for place, number in enumerate(sorted(keys, key=keys.__getitem__), start=1)}
    assert {each.number: each.place for each in entries} == drawn | {
        number: number for number in range(line.drawn + 1, line.entered + 1)
    }
