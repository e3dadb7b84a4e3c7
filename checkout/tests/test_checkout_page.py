"""The page of an order, made by the server."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checkout import rules
from checkout.models import Payment
from checkout.tests.paying import expire, pay, states, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of
from tickets import event_operations
from tickets import services as tickets
from tickets.event_rules import EventStatus
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import RESERVATIONS, reserve

pytestmark = pytest.mark.django_db(transaction=True)


def told(answer: object) -> str:
    content = answer.content.decode()  # type: ignore[attr-defined]
    found = re.search(r'data-field="error"[^>]*>([^<]*)<', content)
    assert found
    return unescape(found[1])


@pytest.mark.parametrize(
    ("language", "begins"), [("en", "Your card was declined."), ("de", "Ihre Karte wurde abgelehnt.")]
)
def test_the_text_of_a_failed_payment_is_in_the_language_of_the_page(
    buyer: User, payment: Payment, language: str, begins: str
) -> None:
    pay(api_of(buyer), payment, "card_error")
    work(payment)
    client = Client(headers={"Accept-Language": language})
    client.force_login(buyer)

    page = client.get(f"/checkout/{payment.reservation_id}/")

    assert told(page).startswith(begins)


def test_frames_have_their_errors_in_the_language_of_the_page(buyer: User, payment: Payment) -> None:
    client = Client(headers={"Accept-Language": "de"})
    client.force_login(buyer)

    texts = client.get(f"/checkout/{payment.reservation_id}/").context["error_sentences"]

    assert set(texts) == set(rules.ERRORS)
    assert all(german != english for english, german in texts.items())


@pytest.mark.parametrize("secure", [{"type": "stripe", "client_secret": "pi_1_secret_1"}, None])
def test_a_page_says_what_the_bank_asks_of_the_buyer(
    buyer: User, payment: Payment, secure: dict[str, str] | None
) -> None:
    """A page without a stream hears of it from the server's page alone."""
    pay(api_of(buyer), payment, "timeout_uncharged")
    work(payment)
    Payment.objects.update(requires_action=secure)
    client = Client()
    client.force_login(buyer)

    page = client.get(f"/checkout/{payment.reservation_id}/").content.decode()

    [status] = re.findall(r"<payment-status [^>]*>", page)
    said = re.search(r' action="([^"]*)"', status)
    assert (said and json.loads(unescape(said[1]))) == secure


def test_a_card_that_the_page_could_not_read_is_not_the_buyers_mistake(buyer: User, payment: Payment) -> None:
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)

    page = client.post(f"/checkout/{payment.reservation_id}/pay/", {"token": ""})

    assert page.status_code == 400
    assert "The field for your card did not load. You were not charged." in page.content.decode()


@pytest.mark.parametrize("status", [EventStatus.ON_SALE, EventStatus.CANCELLED])
def test_paid_tickets_of_a_cancelled_event_are_not_called_confirmed(
    buyer: User, payment: Payment, status: EventStatus
) -> None:
    """Look before the refund, which may come later, or by hand for a payment in cash."""
    pay(api_of(buyer), payment)
    work(payment)
    Inventory.objects.update(paused=status == EventStatus.CANCELLED)
    Event.objects.update(status=status)
    client = Client()
    client.force_login(buyer)

    order = client.get(f"/checkout/{payment.reservation_id}/").content.decode()
    mine = client.get("/me/").content.decode()

    is_cancelled = status == EventStatus.CANCELLED
    for text in ("Your event is cancelled", "Your tickets are no longer valid."):
        assert (text in order) == is_cancelled
    for text in ("Your tickets are confirmed", "Show tickets", "Create a new link"):
        assert (text in order) != is_cancelled
    assert ("This event is cancelled." in mine) == is_cancelled
    assert ("Show tickets" in mine) != is_cancelled


def test_a_released_order_that_is_paid_for_is_not_called_expired(buyer: User, payment: Payment) -> None:
    tickets.reservation_release(buyer_id=buyer.pk, reservation_id=payment.reservation_id)
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)

    page = client.post(f"/checkout/{payment.reservation_id}/pay/", {"token": "ok"})

    assert page.status_code == 410
    alert = re.search(r'id="error"><h2>([^<]*)<', page.content.decode())
    assert alert
    assert alert[1] == "Your reservation was released, and the tickets are back on sale."


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        ("paid", "These tickets are already paid for."),
        ("being paid", "A payment for these tickets is in progress."),
        ("due", "Your reservation has expired, and the tickets are back on sale."),
        ("released", "Your reservation was released, and the tickets are back on sale."),
        ("at its limit", "Your reservation cannot be extended any further."),
    ],
)
def test_an_old_page_that_asks_for_more_time_is_told_what_has_happened_since(
    buyer: User, payment: Payment, since: str, sentence: str
) -> None:
    if since in ("paid", "being paid"):
        pay(api_of(buyer), payment)
    if since == "paid":
        work(payment)
    elif since == "due":
        expire(payment)
    elif since == "released":
        tickets.reservation_release(buyer_id=buyer.pk, reservation_id=payment.reservation_id)
    elif since == "at its limit":
        Reservation.objects.update(created=timezone.now() - timedelta(minutes=20))
        Reservation.objects.update(expires_at=timezone.now() + timedelta(minutes=10))
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)

    page = client.post(f"/checkout/{payment.reservation_id}/extend/", follow=True)

    [told] = re.findall(r'<p class="notice" role="status">([^<]*)<', page.content.decode())
    assert unescape(told) == sentence


@pytest.mark.parametrize(("before", "after"), [(0, 1500), (1500, 0)])
def test_a_free_order_that_costs_something_now_or_the_reverse_is_not_concluded_from_an_old_page(
    buyer: User, ticket_type_make: Callable[..., TicketType], before: int, after: int
) -> None:
    """The page was read before another tab added a ticket type with a price, or removed the only one."""
    api, types = api_of(buyer), [ticket_type_make(price_minor=0)]
    types.append(ticket_type_make(event=types[0].event, price_minor=1500))
    order = reserve(api, types[0]).json()["order"]
    asked = {"items": [{"ticket_type": types[1].pk, "amount": 1}], "order": order}
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)
    if before:
        added = api.post(f"{RESERVATIONS}batch/", asked, format="json").json()["reservations"][-1]["id"]
    page = client.get(f"/checkout/{order}/").content.decode()
    [shown] = re.findall(r'name="price" value="([^"]*)"', page)
    assert ("Get free tickets" in page) == (before == 0)
    if before:
        api.delete(f"{RESERVATIONS}{added}/")
    else:
        api.post(f"{RESERVATIONS}batch/", asked, format="json")

    refused = client.post(f"/checkout/{order}/pay/", {"token": "ok", "price": shown})

    assert refused.status_code == 409
    assert "Your order and its price have changed." in refused.content.decode()
    payment = Payment.objects.get()
    assert (payment.status, set(states(payment)) <= {"held", "released"}) == ("NOT_STARTED", True)
    [now] = re.findall(r'name="price" value="([^"]*)"', refused.content.decode())
    assert client.post(f"/checkout/{order}/pay/", {"token": "ok", "price": now}).status_code == 302
    assert work(payment).amount_minor == after
    assert payment.status == "SUCCESS"


def test_nobody_pays_for_an_event_whose_move_the_page_does_not_show(buyer: User, payment: Payment) -> None:
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)
    order, event = payment.reservation_id, payment.reservation.ticket_type.event

    def pay_as_shown_by(page: str) -> Any:
        shown = dict(re.findall(r'name="(price|calendar_version)" value="([^"]*)"', page))
        assert shown.keys() == {"price", "calendar_version"}
        return client.post(f"/checkout/{order}/pay/", {"token": "ok", **shown})

    page = client.get(f"/checkout/{order}/").content.decode()
    with db.transaction():
        Event.objects.filter(pk=event.pk).update(date=event.date + timedelta(days=366))
        event_operations.calendar_version_raise(event_id=event.pk)

    refused = pay_as_shown_by(page)

    assert refused.status_code == 409
    now = refused.content.decode()
    assert "The event has changed since you opened this page." in now
    assert (event.date + timedelta(days=366)).isoformat() in now
    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("NOT_STARTED", ["held"])
    assert pay_as_shown_by(now).status_code == 302
    assert work(payment).status == "SUCCESS"


def test_a_page_of_the_former_release_pays_without_a_calendar_version(buyer: User, payment: Payment) -> None:
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)
    assert client.post(f"/checkout/{payment.reservation_id}/pay/", {"token": "ok"}).status_code == 302
    assert work(payment).status == "SUCCESS"
