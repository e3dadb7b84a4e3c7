"""Cancelled events: each order is refunded once, even if processes die meanwhile.

`python -m pytest checkout/tests/test_cancellations.py --cancelled 10000` refunds that many.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import cancellation_operations, history, refund_operations, rules, selectors, services
from checkout.gateways import protocol
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import CancelledOrder, EventCancellation, Payment, Refund
from checkout.permissions import Permission
from checkout.services import cancellations, refunds
from checkout.tests.cancelling import die_at, go_on, many_paid
from checkout.tests.paying import PAYMENTS, audit, expire, heal, lapse, pay, reach_deadline, work
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError, Invalid
from tests.clients import permit
from tests.threads import together
from tickets import operations as tickets
from tickets.admission.models import Ticket
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import claim, reserve, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def staff(user_make: Callable[..., User]) -> User:
    return permit(user_make(username="mona"), Permission.CANCEL_EVENT)


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


def cancel(staff: User, event_id: int, *, version: int | None = None, message: str = "") -> None:
    known = Event.objects.get(pk=event_id).version if version is None else version
    services.event_cancel(staff_id=staff.pk, event_id=event_id, version=known, message=message)


def event_of(payment: Payment) -> int:
    return payment.reservation.ticket_type.event_id


def cancelled_at_once(staff: User, payment: Payment) -> int:
    """Cancel the event of a payment, start the workers at once, and count the orders that they find."""
    cancel(staff, event_of(payment))
    return services.cancellations_go_on()


def settle() -> None:
    """Do the work of beat and the workers until nothing is left to start."""
    for _ in range(4):
        EventCancellation.objects.exclude(next_look_at=None).update(next_look_at=timezone.now())
        services.cancellations_go_on()
        heal(rounds=2)


class TestDecision:
    def test_the_sale_stops_tickets_end_money_goes_back_and_the_buyer_is_told(
        self, staff: User, paid: Payment, user_make: Callable[..., User]
    ) -> None:
        cancel(staff, event_of(paid), message="The hall is closed.")
        with pytest.raises(DomainError):
            claim(user_make().pk, paid.reservation.ticket_type, 1)
        services.cancellations_go_on()
        assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}
        settle()
        paid.refresh_from_db()
        assert (paid.status, paid.refunded_minor) == ("REFUNDED", 3000)
        stock = Inventory.objects.get()
        assert (stock.held, stock.sold, stock.revenue_minor) == (0, 0, 0)
        services.mails_send()
        [told] = [each for each in mail.outbox if each.subject.startswith("Cancelled:")]
        assert "The hall is closed." in told.body
        assert "Your money goes back" in told.body
        facts = [fact.what for fact in history.order_facts(reservation_id=paid.reservation_id)]
        assert facts.count("The mail about the cancellation was sent") == 1
        assert EventCancellation.objects.get().next_look_at is None
        audit()

    def test_an_outdated_page_a_draft_and_a_second_time_change_nothing(
        self, staff: User, ticket_type: TicketType
    ) -> None:
        event = ticket_type.event
        for status, version, code in (
            ("on_sale", 999, "event_outdated"),
            ("draft", 1, "not_cancellable"),
            ("cancelled", 1, "already_cancelled"),
        ):
            Inventory.objects.update(paused=True)
            Event.objects.update(status=status)
            with pytest.raises(DomainError) as refused:
                cancel(staff, event.pk, version=version)
            assert refused.value.code == code
        assert not EventCancellation.objects.exists()

    def test_of_many_requests_at_once_one_cancels(self, staff: User, ticket_type: TicketType) -> None:
        version = Event.objects.get().version

        def decide() -> str:
            try:
                cancel(staff, ticket_type.event_id, version=version)
            except DomainError as refused:
                return refused.code
            return "done"

        assert sorted(together(*[decide] * 4)) == ["already_cancelled"] * 3 + ["done"]

    def test_a_message_that_no_mail_can_show_is_refused(self, staff: User, ticket_type: TicketType) -> None:
        for text in ("x" * 2001, "a\0b"):
            with pytest.raises(Invalid):
                cancel(staff, ticket_type.event_id, message=text)


class TestWhatElseThereIs:
    def test_an_order_that_cost_nothing_is_ended(
        self, staff: User, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        held = reserve(api, ticket_type_make(price_minor=0), 2).json()
        made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
        pay(api, Payment.objects.get(pk=made["id"]))
        cancel(staff, Event.objects.get().pk)
        settle()
        assert Reservation.objects.get().state == "released"
        assert not Refund.objects.exists()
        services.mails_send()
        assert "You paid nothing" in mail.outbox[-1].body

    def test_a_hold_can_no_longer_be_paid(self, staff: User, api: APIClient, payment: Payment) -> None:
        cancel(staff, event_of(payment))
        answer = pay(api, payment)
        assert (answer.status_code, answer.json()["code"]) == (409, "event_cancelled")

    def test_control_without_the_check_a_hold_could_be_paid(
        self, staff: User, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tickets.operations.EventStatus", type("None", (), {"CANCELLED": "never"}))
        Inventory.objects.update(paused=True)
        Event.objects.update(status="cancelled")
        assert pay(api, payment).status_code == 202

    def test_an_order_that_is_being_paid_meanwhile_is_refunded_afterwards(
        self, staff: User, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment)
        cancel(staff, event_of(payment))
        settle()  # the first look finds nothing yet; the payment then succeeds, and the next one finds it
        payment.refresh_from_db()
        assert payment.status == "REFUNDED"
        assert EventCancellation.objects.get().next_look_at is None
        audit()

    def test_a_charge_that_is_found_after_the_cancellation_is_paid_back(
        self, staff: User, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment, token="timeout_charged")
        assert work(payment).status == "PROCESSING"
        cancel(staff, event_of(payment))
        settle()
        payment.refresh_from_db()
        assert (payment.status, payment.refunded_minor) == ("REFUNDED", 3000)
        assert Reservation.objects.get().state == "released"
        audit()

    @pytest.fixture
    def late(self, api: APIClient, payment: Payment, settings: Any) -> Payment:
        """Return a charged and abandoned payment, whose gateway answers again."""
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        pay(api, payment)
        work(payment)
        settings.SANDBOX_FAULTS = {"retrieve": "before"}
        reach_deadline(payment, after=rules.CAP)
        expire(payment)
        lapse()
        assert work(payment).status == "ABANDONED"
        settings.SANDBOX_FAULTS = {}
        lapse()
        return payment

    def test_late_money_obeys_a_cancellation_since_its_order_was_read(
        self, staff: User, late: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = tickets.order_validate_late

        def cancelled_first(**given: Any) -> bool:
            assert together(lambda: cancelled_at_once(staff, late)) == [0]
            return original(**given)

        with monkeypatch.context() as racing:
            racing.setattr(tickets, "order_validate_late", cancelled_first)
            assert work(late).status == "REFUNDING"
        settle()
        late.refresh_from_db()
        assert late.status == "REFUNDED"
        audit()

    def test_a_cancellation_waits_for_late_money_and_finds_what_it_sold(
        self, staff: User, late: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, decided = tickets.vouchers_lock, threading.Event()

        def waited_for(reservations: Sequence[Reservation]) -> None:
            decided.set()
            waiting_for_a_lock(1)
            original(reservations)

        with monkeypatch.context() as racing:
            racing.setattr(tickets, "vouchers_lock", waited_for)
            assert together(
                lambda: services.payment_process(payment_id=late.pk),
                lambda: decided.wait(30) and cancelled_at_once(staff, late),
            ) == [None, 1]
        settle()
        late.refresh_from_db()
        assert late.status == "REFUNDED"
        assert Reservation.objects.get().state == "released"
        audit()

    def test_a_part_that_was_refunded_before_is_not_refunded_again(self, staff: User, paid: Payment) -> None:
        services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=1000, return_tickets=False
        )
        cancel(staff, event_of(paid))
        services.cancellations_go_on()  # staff's own refund has no outcome yet
        assert Refund.objects.count() == 1
        settle()
        assert sorted(Refund.objects.values_list("amount_minor", flat=True)) == [1000, 2000]
        audit()

    def test_cash_is_listed_for_staff(self, staff: User, ticket_type: TicketType) -> None:
        services.counter_sell(
            staff_id=staff.pk,
            event_id=ticket_type.event_id,
            quantities={ticket_type.pk: 1},
            is_free=False,
            price="15.00",
            email="",
            name="",
            key="k",
        )
        cancel(staff, ticket_type.event_id)
        settle()
        assert selectors.cancelled_progress(event_id=ticket_type.event_id)["by_hand"] == 1
        [order] = selectors.cancelled_problems(event_id=ticket_type.event_id, most=9)
        services.refund_request(
            staff_id=staff.pk, payment_id=order.pk, amount_minor=None, return_tickets=True
        )
        found = selectors.cancelled_progress(event_id=ticket_type.event_id)
        assert (found["by_hand"], found["back"]) == (0, 1)

    def test_a_refund_that_the_gateway_refuses_is_listed_with_the_reason_and_tried_again(
        self, staff: User, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancel(staff, event_of(paid))
        refused = rules.Refunded(outcome=rules.RefundOutcome.FAILED, error="The card was closed.")
        with monkeypatch.context() as refusing:
            refusing.setattr(SandboxGateway, "refund", lambda *_, **__: refused)
            settle()
        [order] = selectors.cancelled_problems(event_id=event_of(paid), most=9)
        assert order.refund is not None
        assert order.refund.error == "The card was closed."
        assert EventCancellation.objects.get().next_look_at is None, "it is not repeated by itself"
        assert services.cancellation_retry(staff_id=staff.pk, event_id=event_of(paid)) == 1
        assert services.cancellation_retry(staff_id=staff.pk, event_id=event_of(paid)) == 0
        settle()
        paid.refresh_from_db()
        assert paid.status == "REFUNDED"
        assert not selectors.cancelled_problems(event_id=event_of(paid), most=9)
        audit()

    def test_a_refund_that_failed_late_is_listed_and_tried_again(self, staff: User, paid: Payment) -> None:
        cancel(staff, event_of(paid))
        settle()
        Refund.objects.update(status="FAILURE")
        found = selectors.cancelled_progress(event_id=event_of(paid))
        assert (found["back"], found["refused"], found["back_minor"]) == (0, 1, 0)
        [order] = selectors.cancelled_problems(event_id=event_of(paid), most=9)
        assert order.pk == paid.pk
        assert services.cancellation_retry(staff_id=staff.pk, event_id=event_of(paid)) == 1
        assert Refund.objects.get().status == "PENDING"
        assert services.cancellation_retry(staff_id=staff.pk, event_id=event_of(paid)) == 0


class TestOnce:
    def test_two_workers_start_each_refund_once(self, staff: User, paid: Payment) -> None:
        cancel(staff, event_of(paid))
        with db.transaction():
            cancellation_operations.orders_collect(event_id=event_of(paid), now=db.now())
        together(*[lambda: cancellations.order_cancel(payment_id=paid.pk)] * 4)
        assert Refund.objects.count() == 1

    def test_no_more_refunds_are_in_flight_than_the_limit(
        self, staff: User, ticket_type_make: Callable[..., TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cancellations, "IN_FLIGHT", 3)
        big = ticket_type_make(capacity=10)
        many_paid(big, orders=10)
        cancel(staff, big.event_id)
        for _ in range(3):
            EventCancellation.objects.update(next_look_at=timezone.now())
            services.cancellations_go_on()
        assert Refund.objects.count() == 3
        assert CancelledOrder.objects.count() == 10


POINTS: list[tuple[Any, str, bool]] = [
    (SandboxGateway, "refund", False),
    (refund_operations, "refund_open", False),
    (refunds, "_apply", True),
    (cancellation_operations, "order_cancel", False),
    (refund_operations, "refund_succeed", True),
    (SandboxGateway, "refund", True),
    (cancellation_operations, "orders_collect", True),
    (refund_operations, "refund_take", False),
]


def pay_back_with_deaths(staff: User, big: TicketType, *, orders: int) -> None:
    """Cancel an event with this number of orders, kill workers until all are refunded, and compare the ledger."""
    many_paid(big, orders=orders)
    cancel(staff, big.event_id)
    for turn in range(4 * len(POINTS) + orders // 5):
        EventCancellation.objects.exclude(next_look_at=None).update(next_look_at=timezone.now())
        owner, function, before = POINTS[turn % len(POINTS)]
        die_at(owner, function, nth=1 + turn * 7 % 60 if orders > 500 else 1 + turn % 4, before=before)
    for _ in range(5 + orders // cancellations.IN_FLIGHT):
        EventCancellation.objects.exclude(next_look_at=None).update(next_look_at=timezone.now())
        lapse()
        go_on()
    [book] = db.rows(
        "SELECT count(*) AS n, count(DISTINCT b.intent) AS orders, sum(b.amount) AS minor FROM sandbox.refunds b"
        "  JOIN checkout_payment p ON p.gateway_reference = b.intent"
    )
    assert book == {"n": orders, "orders": orders, "minor": orders * 1500}
    assert Payment.objects.filter(status="REFUNDED", refunded_minor=1500).count() == orders
    assert Refund.objects.filter(status="SUCCESS").count() == Refund.objects.count() == orders
    stock = Inventory.objects.get(pk=big.pk)
    assert (stock.held, stock.sold, stock.revenue_minor) == (0, 0, 0)
    assert not Ticket.objects.exclude(state="revoked").exists()
    assert EventCancellation.objects.get().next_look_at is None


@pytest.mark.processes
@forking
def test_killed_workers_refund_each_order_once(
    staff: User, ticket_type_make: Callable[..., TicketType], request: pytest.FixtureRequest
) -> None:
    orders = request.config.getoption("--cancelled")
    pay_back_with_deaths(staff, ticket_type_make(capacity=orders), orders=orders)


@pytest.mark.processes
@forking
def test_control_without_the_same_key_they_refund_twice(
    staff: User, ticket_type_make: Callable[..., TicketType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(operation: str, **_: Any) -> str:
        return f"{operation}:{protocol.new_nonce()}"

    monkeypatch.setattr(protocol, "gateway_key", another)
    with pytest.raises(AssertionError):
        pay_back_with_deaths(staff, ticket_type_make(capacity=12), orders=12)
