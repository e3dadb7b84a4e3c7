"""Steps that wait for a lock: what is due is judged by PostgreSQL's clock after the wait."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db.models import QuerySet
from rest_framework.test import APIClient

from checkout import cancellation_operations, rules, services
from checkout.models import Payment, Refund
from checkout.services import cancellations
from checkout.tests.paying import expire, lapse, lines, pay, reach_deadline, states, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.rules import ReservationEnded
from tickets.tests.reserving import claim, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


def after_a_wait(
    rows: QuerySet[Any], act: Callable[[], object], *, end: bool = False
) -> tuple[datetime, object]:
    """Let `act` wait for these rows; return when the wait ended, and its result or error.

    With `end`, the rows are holds, which end at that moment.
    """
    locked = threading.Event()

    def hold() -> datetime:
        with db.transaction():
            assert rows.select_for_update(no_key=True)
            locked.set()
            waiting_for_a_lock(1)
            until = db.now()
            if end:
                rows.update(expires_at=until)
            return until

    until, result = together(hold, lambda: locked.wait(60) and act())
    assert isinstance(until, datetime)
    return until, result


@pytest.fixture
def silent(api: APIClient, payment: Payment, settings: Any) -> Payment:
    """Make a payment that a gateway charged and is silent about, beyond the cap."""
    settings.SANDBOX_FAULTS = {"confirm": "after"}
    pay(api, payment)
    work(payment)
    settings.SANDBOX_FAULTS = {"retrieve": "before"}
    reach_deadline(payment, after=rules.CAP)
    lapse()
    return payment


def test_a_hold_that_ends_while_its_payment_waits_to_be_abandoned_is_expired(silent: Payment) -> None:
    after_a_wait(lines(silent), lambda: work(silent), end=True)

    silent.refresh_from_db()
    assert (silent.status, states(silent)) == ("ABANDONED", ["expired"])


def test_late_money_sells_tickets_at_the_time_after_its_wait(silent: Payment, settings: Any) -> None:
    expire(silent)
    assert work(silent).status == "ABANDONED"
    settings.SANDBOX_FAULTS = {}
    lapse()

    until, _ = after_a_wait(lines(silent), lambda: work(silent))

    [sold] = lines(silent)
    assert sold.state == "validated"
    assert sold.validated_at is not None
    assert sold.validated_at >= until


def test_a_hold_that_ends_while_it_waits_to_follow_stays_the_guests(
    user_make: Callable[..., User], buyer: User, ticket_type: TicketType
) -> None:
    guest = user_make(is_guest=True, email="")
    pk = claim(guest.pk, ticket_type).reservation["id"]
    held = Reservation.objects.filter(pk=pk)

    def follow() -> None:
        services.order_follow(guest_id=guest.pk, buyer_id=buyer.pk, reservation_id=pk)

    _, answer = after_a_wait(held, follow, end=True)

    assert isinstance(answer, ReservationEnded)
    assert held.get().buyer_id == guest.pk


def test_the_refund_of_a_cancelled_event_begins_at_the_time_after_its_wait(
    api: APIClient, payment: Payment, user_make: Callable[..., User]
) -> None:
    pay(api, payment)
    work(payment)
    event = payment.reservation.ticket_type.event
    services.event_cancel(staff_id=user_make().pk, event_id=event.pk, version=event.version, message="")
    with db.transaction():
        cancellation_operations.orders_collect(event_id=event.pk, now=db.now())

    until, _ = after_a_wait(
        Payment.objects.filter(pk=payment.pk), lambda: cancellations.order_cancel(payment_id=payment.pk)
    )

    assert Refund.objects.get().created >= until
