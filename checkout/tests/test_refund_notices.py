"""The e-mail about a refund."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Incident, Payment, RefundNotice
from checkout.tests.paying import heal, pay, work
from overlord.accounts.models import User
from tests.threads import together
from tickets.models import Event

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Return a payment of 30.00 EUR for two tickets, whose receipt was sent."""
    pay(api, payment)
    work(payment)
    services.mails_send()
    mail.outbox.clear()
    return payment


@pytest.fixture
def refund(paid: Payment, user_make: Callable[..., User]) -> Callable[..., None]:
    boss = user_make(is_staff=True)

    def request(amount_minor: int | None = None, *, return_tickets: bool = False) -> None:
        services.refund_request(
            staff_id=boss.pk, payment_id=paid.pk, amount_minor=amount_minor, return_tickets=return_tickets
        )
        heal(rounds=1)

    return request


def test_a_notice_tells_the_refund_and_whether_the_tickets_are_valid(
    paid: Payment, buyer: User, refund: Callable[..., None]
) -> None:
    begins = datetime(2031, 1, 8, 19, 30, tzinfo=ZoneInfo("America/New_York"))
    Event.objects.update(date=begins, time_zone="America/New_York")
    refund(1050)
    assert services.mails_send() == 1
    refund()
    assert services.mails_send() == 1

    part, rest = mail.outbox
    assert part.to == rest.to == [buyer.email]
    assert paid.reservation.ticket_type.event.name in part.subject
    assert "Refunded: €10.50" in part.body
    assert "Your tickets stay valid." in part.body
    assert "7:30\u202fPM New York time" in part.body
    assert "Refunded: €19.50" in rest.body
    assert "no longer valid" in rest.body


def test_a_notice_of_a_part_that_is_sent_after_the_rest_says_that_the_tickets_are_not_valid(
    refund: Callable[..., None],
) -> None:
    refund(1050)
    refund()
    assert services.mails_send() == 2

    part, rest = mail.outbox
    assert "Refunded: €10.50" in part.body
    assert "Your tickets are no longer valid." in part.body
    assert "Your order was refunded. Its tickets are no longer valid." in rest.body
    assert not any("stay valid" in each.body for each in mail.outbox)


def test_a_notice_of_a_part_that_is_sent_after_the_cancellation_says_so_too(
    paid: Payment, refund: Callable[..., None], user_make: Callable[..., User]
) -> None:
    event = paid.reservation.ticket_type.event
    refund(1050)
    services.event_cancel(
        staff_id=user_make(is_staff=True).pk, event_id=event.pk, version=event.version, message=""
    )
    services.mails_send()

    [part] = [each for each in mail.outbox if "Refunded: €10.50" in each.body]
    assert "Your tickets are no longer valid." in part.body


@pytest.mark.parametrize("return_tickets", [True, False])
def test_a_notice_is_sent_once(refund: Callable[..., None], return_tickets: bool) -> None:
    refund(return_tickets=return_tickets)
    together(*[services.mails_send] * 4)
    RefundNotice.objects.exclude(next_look_at=None).update(next_look_at=timezone.now() - timedelta(seconds=1))
    services.mails_send()
    assert len(mail.outbox) == 1
    assert RefundNotice.objects.get().sent_at is not None


def test_a_notice_that_cannot_be_sent_is_told_to_staff(
    paid: Payment, buyer: User, refund: Callable[..., None]
) -> None:
    User.objects.filter(pk=buyer.pk).update(email="a@\u200d.de")
    refund()
    assert services.mails_send() == 0
    incident = Incident.objects.get()
    assert (incident.payment_id, incident.cause) == (paid.pk, "stuck")
    assert "refund" in incident.detail


def test_the_checkout_shows_a_partial_refund(paid: Payment, buyer: User, refund: Callable[..., None]) -> None:
    client = Client()
    client.force_login(buyer)
    place = f"/checkout/{paid.reservation_id}/"
    assert "Refunded:" not in client.get(place).text
    refund(1050)
    assert "Refunded: €10.50." in client.get(place).text
    assert 'data-stage="paid"' in client.get(place).text
    refund()
    assert 'data-stage="refunded"' in client.get(place).text
