"""A payment of an order beside what changes, releases or expires a part of it. One of the two comes first."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout import services
from checkout.models import Payment
from checkout.tests.paying import audit, charges, heal, lines, states, work
from overlord.accounts.models import User
from tests.threads import together
from tickets import order_services
from tickets import services as tickets
from tickets.admission.models import Ticket
from tickets.models import Inventory, Reservation, TicketType
from tickets.order_services import Wanted

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 4


@pytest.fixture
def start(
    user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
) -> Callable[..., Payment]:
    """Return a function that makes an order of three types, two tickets each, and its payment."""
    first = ticket_type_make()
    types = [first, *(ticket_type_make(event=first.event) for _ in range(2))]

    def make() -> Payment:
        buyer = user_make()
        order = order_services.order_claim(
            buyer_id=buyer.pk,
            items=[Wanted(ticket_type=each.pk, quantity=2) for each in types],
            order_id=None,
            key=None,
            hold=timedelta(minutes=15),
            now=timezone.now(),
        ).order
        payment, _ = services.payment_create(
            buyer_id=buyer.pk, reservation_id=order["order"], gateway="sandbox"
        )
        return payment

    return make


def pay(payment: Payment) -> Callable[[], Payment]:
    return lambda: services.payment_pay(buyer_id=payment.buyer_id, payment_id=payment.pk, token="ok")


def code(result: object) -> str:
    return getattr(result, "code", "done")


def settled(payment: Payment) -> Payment:
    return work(payment)


def test_beside_a_change_it_charges_for_what_is_sold(start: Callable[..., Payment]) -> None:
    for _ in range(ROUNDS):
        payment = start()
        line = lines(payment)[1]

        paid, changed = together(
            pay(payment),
            lambda payment=payment, line=line: tickets.reservation_resize(
                buyer_id=payment.buyer_id, reservation_id=line.pk, quantity=4
            ),
        )

        assert code(paid) == "done"
        assert code(changed) in ("done", "payment_in_progress")
        assert settled(payment).amount_minor == (12_000 if code(changed) == "done" else 9_000)
    audit()


@pytest.mark.parametrize("nth", [0, 2])
def test_beside_a_release_of_one_type_it_charges_for_the_rest(
    nth: int, start: Callable[..., Payment]
) -> None:
    for _ in range(ROUNDS):
        payment = start()
        line = lines(payment)[nth]

        paid, released = together(
            pay(payment),
            lambda payment=payment, line=line: tickets.reservation_release(
                buyer_id=payment.buyer_id, reservation_id=line.pk
            ),
        )

        assert code(paid) == "done"
        assert code(released) in ("done", "payment_in_progress")
        assert settled(payment).amount_minor == (6_000 if code(released) == "done" else 9_000)
    audit()


def test_beside_a_sweep_all_is_sold_or_all_expires(start: Callable[..., Payment]) -> None:
    for nth in range(ROUNDS):
        payment = start()
        soon = timezone.now() + timedelta(milliseconds=10 * nth)
        lines(payment).update(expires_at=soon)

        paid, _ = together(pay(payment), tickets.due_holds_sweep)

        settled(payment)
        lines(payment).filter(state="held").update(expires_at=timezone.now())
        tickets.due_holds_sweep()
        assert set(states(payment)) == ({"validated"} if code(paid) == "done" else {"expired"})
        assert charges(payment) == (["succeeded"] if code(paid) == "done" else [])
    audit()


def test_pressed_by_many_it_is_one_charge(start: Callable[..., Payment]) -> None:
    payment = start()

    results = together(*[pay(payment)] * 6)

    assert sorted(map(code, results)) == ["done", *["payment_in_progress"] * 5]
    settled(payment)
    assert charges(payment) == ["succeeded"]
    audit()


def test_two_late_orders_for_the_last_tickets_seat_one_whole(start: Callable[..., Payment]) -> None:
    payments = [start() for _ in range(2)]
    for payment in payments:
        pay(payment)()
        services.payment_process(payment_id=payment.pk)
    Payment.objects.update(status="ABANDONED", next_look_at=timezone.now())
    Reservation.objects.update(state="expired", ended_at=timezone.now(), validated_at=None)
    Inventory.objects.update(sold=0, revenue_minor=0, capacity=3)
    Ticket.objects.all().delete()
    for payment in payments:
        payment.receipt.delete()

    together(*[lambda pk=pk: services.payment_process(payment_id=pk) for pk in [p.pk for p in payments]])
    heal(rounds=3)

    assert sorted(Payment.objects.values_list("status", flat=True)) == ["REFUNDED", "SUCCESS"]
    assert sorted(set(states(payment)) for payment in payments) in (
        [{"expired"}, {"validated"}],
        [{"validated"}, {"expired"}],
    )
    audit()
