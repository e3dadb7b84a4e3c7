"""All use cases at once on a few tickets, from many threads: no invariant breaks, nothing deadlocks or fails.

Orders, single claims, additions, changes, extensions, releases, sweeps, payments and refunds, in an order that a
seed gives. `bin/test checkout/tests/test_mixed.py --operations 100000` does more of it.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment
from checkout.tests.paying import audit, heal
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError
from tests.threads import together
from tickets import order_services, services
from tickets.models import Inventory, Reservation, TicketType
from tickets.order_services import Wanted
from tickets.tests.reserving import Witness

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 12
SHORT, LONG = timedelta(milliseconds=30), timedelta(minutes=15)


class Busybody:
    """A buyer who does all that buyers can, in a random order."""

    def __init__(self, user: User, ticket_types: list[TicketType], seed: int, rounds: int) -> None:
        self.user, self.ticket_types, self.rounds = user, ticket_types, rounds
        self.choose = random.Random(seed)  # noqa: S311
        self.answers: Counter[str] = Counter()

    def __call__(self) -> Counter[str]:
        acts = [
            self.reserve, self.order, self.order, self.add, self.resize, self.extend, self.release,
            self.pay, self.pay, self.sweep, self.refund,
        ]  # fmt: skip
        db.rows("SET lock_timeout = 0")  # however slow this machine is; a deadlock ends by itself
        for _ in range(self.rounds):
            act = self.choose.choice(acts)
            try:
                act()
                self.answers[act.__name__] += 1
            except DomainError as refused:
                self.answers[refused.code] += 1
        return self.answers

    def reserve(self) -> None:
        services.reservation_create(
            buyer_id=self.user.pk,
            ticket_type=self.choose.choice(self.ticket_types).pk,
            quantity=self.choose.randint(1, 3),
            key=self.choose.choice([None, f"key-{self.choose.randint(1, self.rounds)}"]),
            hold=self.choose.choice([SHORT, LONG]),
            now=timezone.now(),
        )

    def order(self, order_id: int | None = None) -> None:
        wanted = self.choose.sample(self.ticket_types, self.choose.randint(1, 3))
        order_services.order_claim(
            buyer_id=self.user.pk,
            items=[Wanted(ticket_type=each.pk, quantity=self.choose.randint(1, 2)) for each in wanted],
            order_id=order_id,
            key=self.choose.choice([None, f"key-{self.choose.randint(1, self.rounds)}"]),
            hold=self.choose.choice([SHORT, LONG]),
            now=timezone.now(),
        )

    def add(self) -> None:
        mine = self._one_of_mine()
        order = Reservation.objects.filter(pk=mine).first()
        self.order(order.order_id if order else mine)

    def resize(self) -> None:
        services.reservation_resize(
            buyer_id=self.user.pk, reservation_id=self._one_of_mine(), quantity=self.choose.randint(1, 4)
        )

    def extend(self) -> None:
        services.reservation_extend(buyer_id=self.user.pk, reservation_id=self._one_of_mine())

    def release(self) -> None:
        services.reservation_release(buyer_id=self.user.pk, reservation_id=self._one_of_mine())

    def pay(self) -> None:
        mine = self._one_of_mine()
        opened = checkout.payment_create(buyer_id=self.user.pk, reservation_id=mine, gateway="sandbox")
        token = self.choose.choice(["ok", "card_error", "payment_error"])
        checkout.payment_pay(buyer_id=self.user.pk, payment_id=opened.payment.pk, token=token)
        checkout.payment_process(payment_id=opened.payment.pk)

    def refund(self) -> None:
        paid = Payment.objects.filter(buyer=self.user, status="SUCCESS").order_by("-id").first()
        if paid is None:
            return
        partly = self.choose.choice([None, 100])
        checkout.refund_request(
            staff_id=self.user.pk, payment_id=paid.pk, amount_minor=partly, return_tickets=partly is None
        )
        for refund in paid.refunds.all():
            checkout.refund_process(refund_id=refund.pk)

    def sweep(self) -> None:
        services.due_holds_sweep()

    def _one_of_mine(self) -> int:
        mine = Reservation.objects.filter(buyer=self.user).order_by("-id").values_list("pk", flat=True)[:5]
        return self.choose.choice(list(mine) or [0])


def deadlocks() -> int:
    """Return how many deadlocks PostgreSQL has counted. Call it after the threads' connections have ended."""
    [row] = db.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row["deadlocks"])


@pytest.mark.timeout(0)  # the threads end without a time-out
def test_mixed_use_from_many_threads_breaks_no_invariant(
    user_make: Callable[..., User],
    ticket_type_make: Callable[..., TicketType],
    request: pytest.FixtureRequest,
) -> None:
    operations = request.config.getoption("--operations")
    first = ticket_type_make(capacity=12, max_per_user=100_000)
    ticket_types = [
        first,
        *(ticket_type_make(event=first.event, capacity=12, max_per_user=100_000) for _ in range(3)),
    ]
    users = [user_make() for _ in range(THREADS // 2)]
    busybodies = [
        Busybody(user, ticket_types, seed, operations // THREADS) for seed, user in enumerate(users * 2)
    ]

    before = deadlocks()
    with ExitStack() as stack:
        witnesses = [stack.enter_context(Witness(each)) for each in ticket_types]
        results = together(*busybodies, seconds=max(120, operations / 10))

    assert [result for result in results if not isinstance(result, Counter)] == []
    assert [witness.broken for witness in witnesses] == [[]] * 4
    assert min(witness.readings for witness in witnesses) > 10
    answers: Counter[str] = sum((result for result in results if isinstance(result, Counter)), Counter())
    # A request for which other buyers were quicker three times may fail. A deadlock is our fault.
    assert answers["busy"] <= operations // 100
    assert deadlocks() == before
    assert {"reserve", "order", "add", "resize", "extend", "release", "pay", "refund"} <= answers.keys()
    heal()
    audit()
    for ticket_type in ticket_types:
        stock = Inventory.objects.get(pk=ticket_type.pk)
        mine = Reservation.objects.filter(ticket_type=ticket_type)
        made = mine.aggregate(Sum("quantity"))["quantity__sum"]
        assert (stock.reservations, stock.reserved_tickets) == (mine.count(), made)
    assert not Payment.objects.filter(status__in=Payment.IN_FLIGHT).exists()
    assert not Reservation.objects.filter(state="paying").exists()
