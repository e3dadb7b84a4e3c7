"""Load the demo: events, two users to log in as, and tickets that others have bought.

It uses the shop's own services: tickets are reserved, paid at the sandbox gateway and validated. So the demo keeps
every rule that real sales keep. The module also makes the test buyers and the drawn event of `manage.py rush`.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password

from checkout import services as checkout
from overlord.accounts import services as accounts
from overlord.accounts.models import User
from overlord.kernel import clock, db
from tickets import event_files, event_operations
from tickets import services as tickets
from tickets.event_files import EventToLoad, TypeToLoad
from tickets.models import Event, TicketType
from tickets.rules import Opening

EVENTS = Path(__file__).resolve().parents[2] / "data" / "events.json"
FIRST_EVENT_IN = timedelta(days=10)
WEEK = timedelta(days=7)
CROWD_LASTS = timedelta(days=1)

# How many tickets to sell, by event and ticket type. After these sales, one event has 40 left, and one is sold out.
BOUGHT = {
    ("Alma Novak Quartet", "Regular"): 80,
    ("Winter Lights Gala", "VIP"): 24,
    ("Winter Lights Gala", "Regular"): 60,
}


def demo_load(*, password: str, now: datetime) -> int:
    """Load the demo's users, events and sales; return the number of new events, 0 when they were loaded before."""
    users_make(password=password)
    try:
        count = tickets.events_load(events=events_from(now=now), now=now)
    except event_files.FileErrors:
        count = 0  # the events were loaded before. Sales that are still missing are made below
    for (event, ticket_type), quantity in BOUGHT.items():
        unsold = TicketType.objects.filter(event__name=event, name=ticket_type, inventory__reservations=0)
        for each in unsold:
            _buy(each, quantity)
    return count


def users_make(*, password: str) -> None:
    """Create the users `staff` and `buyer` with this password, or change their password to it."""
    for name, is_staff in (("staff", True), ("buyer", False)):
        user = User.objects.filter(username=name).first() or User(
            username=name, email=f"{name}@example.org", is_staff=is_staff, is_superuser=is_staff
        )
        user.set_password(password)
        user.save()


def crowd_make(*, count: int, now: datetime) -> list[str]:
    """Create `count` buyers without a password, and return a token of each.

    They do not sign up and log in by HTTP, because one network address may do this only a few times.
    """
    tokens = []
    for _ in range(count):
        name = f"rush-{secrets.token_hex(6)}"
        buyer = User.objects.create_user(name, f"{name}@example.org")
        tokens.append(accounts.token_issue(user=buyer, lifetime=CROWD_LASTS, now=now))
    return tokens


def drawn_event_make(*, people: int, opens_in: timedelta, now: datetime) -> int:
    """Make an event that opens by a draw, with tickets for some of `people`, and return its id."""
    name = f"Drawn {secrets.token_hex(2)}"
    types = [
        TypeToLoad(
            line=0, name=kind, price_minor=price, capacity=-(-people // share), max_per_user=4,
            opens_at=now + opens_in, closes_at=None,
        )
        for kind, price, share in (("Stalls", 4500, 3), ("Balcony", 2500, 4))
    ]  # fmt: skip
    made = EventToLoad(
        line=0, name=name, date=now + FIRST_EVENT_IN, time_zone=settings.TIME_ZONE, currency="EUR",
        description="Opens by a draw: enter the line, and wait for your turn.", types=types,
    )  # fmt: skip
    tickets.events_load(events=[made], now=now)
    with db.transaction():
        event = Event.objects.get(name=name, date=made.date)
        event.opening = Opening.DRAW.value
        event.save(update_fields=["opening"])
        event_operations.opening_set(event=event)
        event_operations.event_changed(event_id=event.pk, now=now)
    return int(event.pk)


def events_from(*, now: datetime) -> list[EventToLoad]:
    """Return the demo's events, with dates moved by whole weeks so that the first one is at least ten days away."""
    events = event_files.read(EVENTS.read_bytes())
    behind = now + FIRST_EVENT_IN - min(event.date for event in events)
    shift = WEEK * -(-behind // WEEK)
    return [_moved(event, shift) for event in events]


def _moved(event: EventToLoad, shift: timedelta) -> EventToLoad:
    types = [replace(each, opens_at=each.opens_at + shift if each.opens_at else None) for each in event.types]
    return replace(event, date=event.date + shift, types=types)


def _buy(ticket_type: TicketType, quantity: int) -> None:
    """Sell `quantity` tickets, to as many users as the limit per person requires."""
    hold = timedelta(seconds=settings.HOLD_SECONDS)
    for nth in range(-(-quantity // ticket_type.max_per_user)):
        guest, _ = User.objects.get_or_create(
            username=f"guest{nth + 1}",
            defaults={"email": f"guest{nth + 1}@example.org", "password": make_password(None)},
        )
        wanted = min(ticket_type.max_per_user, quantity - nth * ticket_type.max_per_user)
        made = tickets.reservation_create(
            buyer_id=guest.pk,
            ticket_type=ticket_type.pk,
            quantity=wanted,
            key=None,
            hold=hold,
            now=clock.now(),
        )
        opened = checkout.payment_create(
            buyer_id=guest.pk, reservation_id=made.reservation["id"], gateway="sandbox"
        )
        checkout.payment_pay(buyer_id=guest.pk, payment_id=opened.payment.pk, token="demo")  # noqa: S106
        checkout.payment_process(payment_id=opened.payment.pk)
