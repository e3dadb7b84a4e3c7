"""What stats counts is counted on the inventory row, in the same step as what it counts."""

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


def step(reservation: int, do: Callable[[Reservation], object]) -> None:
    with db.transaction():
        do(operations.reservation_lock(reservation_id=reservation))


def test_each_happening_counts_once(user_make: Callable[..., User], ticket_type: TicketType) -> None:
    paid, late, idle = (claim(user_make().pk, ticket_type, 2).reservation["id"] for _ in range(3))
    for pk in (paid, late):
        step(pk, lambda r: operations.reservation_begin_paying(reservation=r, now=db.now()))
    assert Reservation.objects.filter(paying_since=None).count() == 1
    step(paid, lambda r: operations.reservation_stop_paying(reservation=r, now=db.now()))
    step(paid, lambda r: operations.reservation_begin_paying(reservation=r, now=db.now()))
    step(paid, lambda r: operations.reservation_validate(reservation=r, paid_minor=3000, now=db.now()))
    Reservation.objects.filter(pk=late).update(expires_at=db.now())
    step(late, lambda r: operations.reservation_stop_paying(reservation=r, now=db.now()))
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
