"""The counters for stats are on the inventory row, and change in the same step as the reservations they count."""

from collections.abc import Callable

import pytest

from overlord.accounts.models import User
from overlord.kernel import db
from tickets import operations, services
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import claim, end

pytestmark = pytest.mark.django_db(transaction=True)


def counted(ticket_type: TicketType) -> dict[str, int]:
    names = (
        "reservations",
        "reserved_tickets",
        "reservations_paid",
        "reservations_expired",
        "payments_failed",
    )
    return Inventory.objects.values(*names, "held", "sold", "revenue_minor").get(pk=ticket_type.pk)


def step(order_id: int, do: Callable[[list[Reservation]], object]) -> None:
    with db.transaction():
        do(operations.order_lock(order_id=order_id)[0])


def test_each_change_of_an_order_counts_once(user_make: Callable[..., User], ticket_type: TicketType) -> None:
    paid, late, idle = (claim(user_make().pk, ticket_type, 2).reservation["id"] for _ in range(3))
    for pk in (paid, late):
        step(pk, lambda order: operations.order_begin_paying(order=order, now=db.now()))
    assert Reservation.objects.filter(paying_since=None).count() == 1
    step(paid, lambda order: operations.order_stop_paying(reservations=order, now=db.now()))
    step(paid, lambda order: operations.order_begin_paying(order=order, now=db.now()))
    step(paid, lambda order: operations.order_validate(reservations=order, now=db.now()))
    Reservation.objects.filter(pk=late).update(expires_at=db.now())
    step(late, lambda order: operations.order_stop_paying(reservations=order, now=db.now()))
    end(*User.objects.filter(pk=Reservation.objects.get(pk=idle).buyer_id))
    services.due_holds_sweep()
    assert counted(ticket_type) == {
        "reservations": 3,
        "reserved_tickets": 6,
        "reservations_paid": 1,
        "reservations_expired": 2,
        "payments_failed": 2,
        "held": 0,
        "sold": 2,
        "revenue_minor": 3000,
    }
