"""The crash table (see `crash_points`), with orders of three ticket types."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Payment, Refund
from checkout.permissions import Permission
from checkout.tests.crash_points import (
    CANCELLING,
    CHARGING,
    DECLINING,
    REFUNDING,
    Mode,
    Point,
    cells,
    crash,
)
from checkout.tests.paying import PAYMENTS, audit, expire, heal, lapse, pay, reach_deadline, states, work
from overlord.accounts.models import User
from tests.clients import api_of, permit

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    # The child of a test is a fork of this process, with its threads. It only does the work that crashes.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def payment(order_payment: Payment) -> Payment:
    return order_payment


def table(points: list[Point]) -> Any:
    """Return every cell; without `--crash-table`, those with a kill or a lost answer after the call."""

    def mark(point: Point, mode: Mode) -> list[Any]:
        quick = (mode == "killed" and point.moment == "after") or (mode == "lost" and point.moment == "after")
        return [] if quick else [pytest.mark.crash_table]

    return pytest.mark.parametrize(
        ("point", "mode"),
        [
            pytest.param(point, mode, id=f"{mode} {point}", marks=mark(point, mode))
            for point, mode in cells(points)
        ],
    )


@table(CHARGING)
def test_a_crash_while_charging_loses_and_doubles_nothing(
    api: APIClient, payment: Payment, point: Point, mode: Mode
) -> None:
    pay(api, payment)
    assert crash(lambda: services.payment_process(payment_id=payment.pk), point, mode)
    heal()

    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("SUCCESS", ["validated"] * 3)
    audit()


@table(DECLINING)
def test_a_crash_while_declining_leaves_the_hold(
    api: APIClient, payment: Payment, point: Point, mode: Mode
) -> None:
    pay(api, payment, "card_error")
    assert crash(lambda: services.payment_process(payment_id=payment.pk), point, mode)
    heal()

    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("FAILURE", ["held"] * 3)
    audit()


@table(CANCELLING)
def test_a_crash_while_cancelling_charges_nobody(
    api: APIClient, payment: Payment, point: Point, mode: Mode
) -> None:
    pay(api, payment, "timeout_uncharged")
    work(payment)
    if "rescheduling" not in point.name:
        reach_deadline(payment)
        expire(payment)
    lapse()
    assert crash(lambda: services.payment_process(payment_id=payment.pk), point, mode)
    reach_deadline(payment)
    expire(payment)
    heal()

    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("FAILURE", ["expired"] * 3)
    audit()


@table(REFUNDING)
def test_a_crash_while_refunding_refunds_once(
    api: APIClient, payment: Payment, user_make: Callable[..., User], point: Point, mode: Mode
) -> None:
    pay(api, payment)
    work(payment)
    staff = api_of(permit(user_make(), Permission.REFUND))
    staff.post(f"{PAYMENTS}{payment.pk}/refund/", {"return_tickets": True}, format="json")
    refund = Refund.objects.get()
    assert crash(lambda: services.refund_process(refund_id=refund.pk), point, mode)
    heal()

    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("REFUNDED", ["released"] * 3)
    audit()
