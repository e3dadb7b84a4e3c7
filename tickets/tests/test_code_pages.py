"""Codes on buyers' pages, without JavaScript: enter one, see its prices, reserve, see it at the checkout."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from tickets.models import Event, Reservation, TicketType, Voucher
from tickets.tests.forms import fields_of
from tickets.tests.vouchers import reserve_with, voucher_make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(buyer: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(buyer)
    return client


@pytest.fixture
def event(ticket_type: TicketType) -> Event:
    return ticket_type.event


def text_of(page: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def test_an_event_without_codes_does_not_ask_for_one(event: Event) -> None:
    page = Client().get(f"/events/{event.pk}/")
    assert "Have a code?" not in text_of(page)
    voucher_make(event)
    assert "Have a code?" in text_of(Client().get(f"/events/{event.pk}/"))


def test_from_the_code_to_the_checkout(browser: Client, event: Event, ticket_type: TicketType) -> None:
    voucher_make(event)
    page = browser.get(f"/events/{event.pk}/", {"code": "spring"})
    assert "Code spring: 10% off." in text_of(page)
    assert "€15.00 €13.50" in text_of(page)

    answer = browser.post(f"/events/{event.pk}/", {**fields_of(page), f"amount_{ticket_type.pk}": "2"})
    checkout = browser.get(answer["Location"])

    assert "2 × " in text_of(checkout)
    assert "code SPRING: €1.50 off each" in text_of(checkout)
    assert "Pay €27.00" in text_of(checkout)


def test_the_page_knows_when_its_code_expires(event: Event) -> None:
    voucher_make(event)
    assert "code-until" not in Client().get(f"/events/{event.pk}/", {"code": "spring"}).content.decode()
    Voucher.objects.update(valid_until=datetime(2040, 5, 1, 12, tzinfo=UTC))
    page = Client().get(f"/events/{event.pk}/", {"code": "spring"}).content.decode()
    assert re.search('<live-event [^>]*code-until="2040-05-01T12:00:00', page)


def test_a_guest_uses_a_code_too(event: Event, ticket_type: TicketType) -> None:
    voucher_make(event, price_value=100)
    guest = Client(headers={"accept": "text/html"})
    page = guest.get(f"/events/{event.pk}/", {"code": "SPRING"})
    answer = guest.post(f"/events/{event.pk}/", {**fields_of(page), f"amount_{ticket_type.pk}": "1"})

    assert "Get free tickets" in text_of(guest.get(answer["Location"]))


def test_a_stranger_sees_neither_the_price_nor_the_types_of_a_code(
    event: Event, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
) -> None:
    hidden = ticket_type_make(event=event, price_minor=700)
    TicketType.objects.filter(pk=hidden.pk).update(hidden=True)
    voucher_make(event, types=[ticket_type, hidden])
    before = Client().get(f"/events/{event.pk}/").content

    with_it = Client().get(f"/events/{event.pk}/", {"code": "SPRING"})
    after = Client().get(f"/events/{event.pk}/")

    assert hidden.name in text_of(with_it)
    assert "public" not in with_it.headers.get("Cache-Control", "")
    assert "noindex" in with_it.content.decode()
    assert "application/ld+json" not in with_it.content.decode()
    assert hidden.name not in text_of(after)
    assert len(after.content) == len(before)


def test_a_presale_code_opens_the_form(browser: Client, ticket_type_make: Callable[..., TicketType]) -> None:
    ticket_type = ticket_type_make(opens_at=timezone.now() + timedelta(hours=1))
    path = f"/events/{ticket_type.event_id}/"
    voucher_make(ticket_type.event, "FANS", price_rule="unchanged", price_value=0, opens_early=True)

    page = browser.get(path, {"code": "FANS"})
    assert "Code FANS: presale." in text_of(page)
    browser.post(path, {**fields_of(page), f"amount_{ticket_type.pk}": "1"})

    assert Reservation.objects.get().voucher is not None
    assert "code FANS" in text_of(browser.get(f"/checkout/{Reservation.objects.get().pk}/"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": "OTHER"}, "There is no such code for this event."),
        ({"ended_at": timezone.now()}, "This code can no longer be used."),
        ({"valid_from": timezone.now() + timedelta(days=1)}, "This code cannot be used yet."),
    ],
)
def test_a_code_that_gives_nothing_says_why(
    browser: Client, event: Event, fields: dict[str, Any], sentence: str
) -> None:
    voucher_make(event, **fields)
    page = browser.get(f"/events/{event.pk}/", {"code": "SPRING"})

    assert sentence in text_of(page)
    assert fields_of(page)["code"] == "SPRING"
    assert "€15.00" in text_of(page)


def test_guesses_on_the_page_are_limited_too(event: Event, settings: Any) -> None:
    settings.RATE_LIMITS = True
    voucher_make(event)
    guest = Client(headers={"accept": "text/html"})
    for n in range(101):
        page = guest.get(f"/events/{event.pk}/", {"code": f"GUESS{n}"})
    right = guest.get(f"/events/{event.pk}/", {"code": "SPRING"})

    for refused in (page, right):
        assert 0 < int(refused["Retry-After"]) <= 600
    assert "€13.50" not in text_of(right)


def test_a_code_that_was_used_up_meanwhile_keeps_the_choice(
    api: APIClient, event: Event, ticket_type: TicketType
) -> None:
    voucher_make(event, most_uses=1)
    guest = Client(headers={"accept": "text/html"})
    fields = fields_of(guest.get(f"/events/{event.pk}/", {"code": "SPRING"}))
    reserve_with(api, ticket_type, "SPRING")

    page = guest.post(f"/events/{event.pk}/", {**fields, f"amount_{ticket_type.pk}": "3"})

    assert page.status_code == 409
    assert "This code cannot be used for so many tickets" in text_of(page)
    assert fields_of(page)[f"amount_{ticket_type.pk}"] == "3"
