"""A payment of an order beside a change, a release or an expiry of a part of it. One of the two comes first."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from checkout import operations, services
from checkout.models import Payment
from checkout.rules import Contact
from checkout.tests.paying import audit, charges, heal, lines, states, work
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import Busy, NotFound
from tests.functions import function_replaced
from tests.threads import together
from tickets import follow_operations, order_services
from tickets import operations as tickets_operations
from tickets import services as tickets
from tickets.admission.models import Ticket
from tickets.line import selectors as line_selectors
from tickets.line.models import Entry
from tickets.line.rules import EmailNotVerified
from tickets.line.tests.lines import enter, line_make
from tickets.models import Inventory, Reservation, TicketType
from tickets.order_services import Wanted
from tickets.tests.reserving import claim, done_or_waiting_for_a_lock, waiting_for_a_lock

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
        opened = services.payment_create(buyer_id=buyer.pk, reservation_id=order["order"], gateway="sandbox")
        return opened.payment

    return make


def pay(payment: Payment) -> Callable[[], object]:
    return lambda: services.payment_pay(buyer_id=payment.buyer_id, payment_id=payment.pk, token="ok")


def code(result: object) -> str:
    return getattr(result, "code", "done")


def settled(payment: Payment) -> Payment:
    return work(payment)


def test_beside_a_change_a_payment_charges_for_what_is_sold(start: Callable[..., Payment]) -> None:
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
def test_beside_a_release_of_one_type_a_payment_charges_for_the_rest(
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


def test_many_presses_at_once_are_one_charge(start: Callable[..., Payment]) -> None:
    payment = start()

    results = together(*[pay(payment)] * 6)

    assert sorted(map(code, results)) == ["done", *["payment_in_progress"] * 5]
    settled(payment)
    assert charges(payment) == ["succeeded"]
    audit()


def test_of_two_late_orders_for_the_last_tickets_one_gets_all_of_its_tickets(
    start: Callable[..., Payment],
) -> None:
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


class TestFollowing:
    """A guest's order passes to an account while another tab of the guest makes its payment."""

    @pytest.fixture
    def order(self, guest: User, ticket_type_make: Callable[..., TicketType]) -> Reservation:
        claimed = claim(guest.pk, ticket_type_make())
        return Reservation.objects.get(pk=claimed.reservation["id"])

    @pytest.fixture
    def guest(self, user_make: Callable[..., User]) -> User:
        return user_make(is_guest=True, email="")

    def _race(
        self,
        order: Reservation,
        account: User,
        monkeypatch: pytest.MonkeyPatch,
        *,
        first: tuple[object, str],
        at_log_in: bool = False,
    ) -> tuple[object, object]:
        """Let `first` wait before its commit until the other of the two waits for it; return their results."""
        owner, step = first
        original, done = getattr(owner, step), threading.Event()
        guest_id = order.buyer_id

        def uncommitted(**given: object) -> object:
            result = original(**given)
            done.set()
            waiting_for_a_lock(1)
            return result

        def make() -> object:
            return services.payment_create(buyer_id=guest_id, reservation_id=order.pk, gateway="sandbox").made

        def follow() -> None:
            steps = {"guest_id": guest_id, "buyer_id": account.pk}
            if at_log_in:
                services.orders_follow(**steps)
            else:
                services.order_follow(reservation_id=order.pk, **steps)

        makes_first = step == "payment_open"
        with monkeypatch.context() as racing:
            racing.setattr(owner, step, uncommitted)
            made, followed = together(
                make if makes_first else lambda: done.wait(30) and make(),
                follow if not makes_first else lambda: done.wait(30) and follow(),
            )
        return made, followed

    def test_a_payment_made_meanwhile_follows_in_the_next_attempt(
        self, order: Reservation, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guest_id = order.buyer_id
        made, followed = self._race(order, buyer, monkeypatch, first=(operations, "payment_open"))

        assert (made, type(followed)) == (True, Busy)
        order.refresh_from_db()
        payment = Payment.objects.get()
        assert (order.buyer_id, payment.buyer_id) == (guest_id, guest_id)

        services.orders_follow(guest_id=guest_id, buyer_id=buyer.pk)
        order.refresh_from_db()
        payment.refresh_from_db()
        assert (order.buyer_id, payment.buyer_id) == (buyer.pk, buyer.pk)
        services.payment_pay(buyer_id=buyer.pk, payment_id=payment.pk, token="ok")
        assert work(payment).status == "SUCCESS"
        audit()

    def test_at_log_in_a_payment_made_meanwhile_follows_at_once(
        self, order: Reservation, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, followed = self._race(
            order, buyer, monkeypatch, first=(operations, "payment_open"), at_log_in=True
        )

        assert (made, followed) == (True, None)
        order.refresh_from_db()
        assert (order.buyer_id, Payment.objects.get().buyer_id) == (buyer.pk, buyer.pk)

    def test_an_abandoned_payment_follows_and_its_late_money_buys_for_the_account(
        self, order: Reservation, guest: User, buyer: User
    ) -> None:
        opened = services.payment_create(buyer_id=guest.pk, reservation_id=order.pk, gateway="sandbox")
        payment = opened.payment
        User.objects.filter(pk=guest.pk).update(contact_email="ada@example.org")
        services.payment_pay(buyer_id=guest.pk, payment_id=payment.pk, token="timeout_charged")
        work(payment)
        order.refresh_from_db()
        operations_of = {"payment": payment, "reservations": [order], "now": timezone.now()}
        with db.transaction():
            operations.payment_abandon(**operations_of)

        services.orders_follow(guest_id=guest.pk, buyer_id=buyer.pk)
        heal()

        payment.refresh_from_db()
        order.refresh_from_db()
        assert (payment.status, payment.buyer_id) == ("SUCCESS", buyer.pk)
        assert (order.state, order.buyer_id) == ("validated", buyer.pk)
        audit()

    def test_the_guest_makes_none_of_an_order_that_has_followed(
        self, order: Reservation, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, followed = self._race(order, buyer, monkeypatch, first=(follow_operations, "order_follow"))

        assert (type(made), followed) == (NotFound, None)
        assert not Payment.objects.exists()


def test_an_address_changed_beside_a_payment_ends_in_no_deadlock(
    user_make: Callable[..., User],
    ticket_type_make: Callable[..., TicketType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rely on one order of locks, the buyer first. With the order's lock first, the two wait for each other."""
    guest, staff = user_make(is_guest=True, email=""), user_make(is_staff=True)
    User.objects.filter(pk=guest.pk).update(contact_email="ada@example.org", contact_name="Ada")
    order_id = claim(guest.pk, ticket_type_make()).reservation["id"]
    original, done = tickets_operations.order_lock_with, threading.Event()

    def after_the_other_waits(**given: int) -> object:
        done.set()
        waiting_for_a_lock(1)
        return original(**given)

    monkeypatch.setattr(tickets_operations, "order_lock_with", after_the_other_waits)
    results = together(
        lambda: (
            services.payment_create(
                buyer_id=guest.pk,
                reservation_id=order_id,
                gateway="sandbox",
                contact=Contact(email="ada@example.org", name="Ada"),
            ).made
        ),
        lambda: (
            done.wait(30)
            and services.address_change(
                staff_id=staff.pk,
                order_id=order_id,
                before="ada@example.org",
                name_before="Ada",
                email="bo@example.org",
                name="Bo",
            )
        ),
    )

    assert results == [True, None]
    guest.refresh_from_db()
    assert guest.contact_email == "bo@example.org"


LINE_ENTER = Path(line_selectors.__file__).parent / "sql/line_enter.sql"


class TestAddressBesideALine:
    """Staff change a guest's address, and so end what the guest has proven, while the guest enters a line."""

    def _race(
        self,
        user_make: Callable[..., User],
        ticket_type_make: Callable[..., TicketType],
        monkeypatch: pytest.MonkeyPatch,
    ) -> list[Any]:
        guest, staff = user_make(is_guest=True, email=""), user_make(is_staff=True)
        proven = {"contact_email": "ada@example.org", "verified_email": "ada@example.org"}
        User.objects.filter(pk=guest.pk).update(**proven)
        [wished] = line_make(ticket_type_make, 5)
        order_id = claim(guest.pk, ticket_type_make()).reservation["id"]
        original, checked, entered = line_selectors.is_waiting, threading.Event(), threading.Event()

        def then_the_guest_enters(**given: int) -> bool:
            found = original(**given)
            checked.set()
            done_or_waiting_for_a_lock(entered.is_set)
            return found

        def enter_meanwhile() -> object:
            assert checked.wait(30)
            try:
                return enter(wished, guest.pk)
            finally:
                entered.set()

        monkeypatch.setattr(line_selectors, "is_waiting", then_the_guest_enters)
        change = {"staff_id": staff.pk, "order_id": order_id}
        sent = {"before": "ada@example.org", "name_before": "", "email": "bo@example.org", "name": "Bo"}
        return together(lambda: services.address_change(**change, **sent), enter_meanwhile)

    def test_nobody_enters_by_an_address_whose_proof_is_ending(
        self,
        user_make: Callable[..., User],
        ticket_type_make: Callable[..., TicketType],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        changed, answer = self._race(user_make, ticket_type_make, monkeypatch)

        assert (changed, type(answer)) == (None, EmailNotVerified)
        assert not Entry.objects.exists()

    def test_control_without_the_lock_of_the_guest_the_place_is_lost(
        self,
        user_make: Callable[..., User],
        ticket_type_make: Callable[..., TicketType],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        guarded = LINE_ENTER.read_text()
        assert " FOR SHARE;" in guarded
        with function_replaced("line_enter", guarded.replace(" FOR SHARE;", ";")):
            self._race(user_make, ticket_type_make, monkeypatch)

        assert Entry.objects.get().buyer.verified_email == ""
