"""Everything at once on a few tickets: claims, releases, sweeps, payments, pauses. Nothing breaks or locks up."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment
from overlord.accounts.models import User
from overlord.kernel.errors import DomainError
from tests.threads import together
from tickets import services as tickets
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import Witness

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 25
SHORT, LONG = timedelta(milliseconds=30), timedelta(minutes=15)


class Busybody:
    """A buyer who reserves, releases, pays and presses again, in a random order."""

    def __init__(self, user: User, ticket_types: list[TicketType], seed: int) -> None:
        self.user, self.ticket_types = user, ticket_types
        self.choose = random.Random(seed)  # noqa: S311
        self.answers: Counter[str] = Counter()

    def __call__(self) -> Counter[str]:
        for _ in range(ROUNDS):
            act = self.choose.choice([self.reserve, self.reserve, self.release, self.pay, self.sweep])
            try:
                act()
                self.answers["done"] += 1
            except DomainError as refused:
                self.answers[refused.code] += 1
        return self.answers

    def reserve(self) -> None:
        tickets.reservation_create(
            buyer_id=self.user.pk,
            ticket_type=self.choose.choice(self.ticket_types).pk,
            quantity=self.choose.randint(1, 3),
            key=self.choose.choice([None, f"key-{self.choose.randint(1, 5)}"]),
            hold=self.choose.choice([SHORT, LONG]),
            now=timezone.now(),
        )

    def release(self) -> None:
        tickets.reservation_release(buyer_id=self.user.pk, reservation_id=self._one_of_mine())

    def pay(self) -> None:
        mine = self._one_of_mine()
        payment, _ = checkout.payment_create(buyer_id=self.user.pk, reservation_id=mine, gateway="sandbox")
        token = self.choose.choice(["ok", "card_error", "payment_error"])
        checkout.payment_pay(buyer_id=self.user.pk, payment_id=payment.pk, token=token)
        checkout.payment_process(payment_id=payment.pk)

    def sweep(self) -> None:
        tickets.due_holds_sweep()

    def _one_of_mine(self) -> int:
        mine = Reservation.objects.filter(buyer=self.user).order_by("-id").values_list("pk", flat=True)[:3]
        return self.choose.choice(list(mine) or [0])


def test_mixed_use_from_many_threads_breaks_no_invariant(
    user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
) -> None:
    ticket_types = [ticket_type_make(capacity=12, max_per_user=1000) for _ in range(2)]
    users = [user_make() for _ in range(8)]
    busybodies = [Busybody(user, ticket_types, seed) for seed, user in enumerate(users * 2)]

    with Witness(ticket_types[0]) as first, Witness(ticket_types[1]) as second:
        results = together(*busybodies)

    assert [result for result in results if not isinstance(result, Counter)] == []
    assert (first.broken, second.broken) == ([], [])
    assert sum(result["done"] for result in results if isinstance(result, Counter)) > ROUNDS
    for ticket_type in ticket_types:
        stock = Inventory.objects.get(pk=ticket_type.pk)
        mine = Reservation.objects.filter(ticket_type=ticket_type)
        made = mine.aggregate(Sum("quantity"))["quantity__sum"]
        assert (stock.reservations, stock.reserved_tickets) == (mine.count(), made)
        paid = Payment.objects.filter(reservation__ticket_type=ticket_type, status="SUCCESS")
        assert stock.revenue_minor == (paid.aggregate(Sum("amount_minor"))["amount_minor__sum"] or 0)
        assert stock.sold == (mine.filter(state="validated").aggregate(Sum("quantity"))["quantity__sum"] or 0)
    assert not Payment.objects.filter(status__in=Payment.IN_FLIGHT).exists()
    assert not Reservation.objects.filter(state="paying").exists()
