"""Payments whose outcome is unknown, and late money."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import operations, rules, services
from checkout.gateways import GatewayUnknown, ledger, protocol
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Incident, Payment, Refund
from checkout.services import processing
from checkout.tests.paying import (
    PAYMENTS,
    audit,
    charges,
    expire,
    heal,
    lapse,
    pay,
    reach_deadline,
    stock,
    work,
)
from overlord.accounts.models import User
from tests.clients import api_of
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.operations import StateChanged
from tickets.services import due_holds_sweep
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def state(payment: Payment) -> tuple[str, str]:
    payment.refresh_from_db()
    return payment.status, Reservation.objects.get(pk=payment.reservation_id).state


def abandon(payment: Payment, settings: Any) -> None:
    """Let the gateway be silent until the cap has passed."""
    settings.SANDBOX_FAULTS = {"retrieve": "before"}
    reach_deadline(payment, after=rules.CAP)
    expire(payment)
    lapse()
    work(payment)
    settings.SANDBOX_FAULTS = {}


def charged_wrongly(api: APIClient, payment: Payment) -> None:
    """Let the gateway have charged a cent."""
    pay(api, payment)
    with ledger.opened() as book:
        reference = book.intent_create(amount_minor=1, currency="EUR", payment=0, token="ok")
        book.intent_conclude(reference, "succeeded")
    Payment.objects.update(gateway_reference=reference)


class TestEarlierTry:
    """A worker hangs at the gateway. Another one ends the try, and the buyer pays again with another card."""

    @pytest.mark.parametrize("operation", ["create_intent", "confirm"])
    def test_its_late_answer_changes_nothing(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch, operation: str
    ) -> None:
        original = getattr(SandboxGateway, operation)

        def hang(gateway: SandboxGateway, **asked: Any) -> Any:
            monkeypatch.setattr(SandboxGateway, operation, original)
            lapse()
            assert work(payment).status == "FAILURE"
            pay(api, payment, "timeout_charged")
            assert work(payment).status == "PROCESSING"
            return original(gateway, **asked)

        pay(api, payment, "card_error")
        monkeypatch.setattr(SandboxGateway, operation, hang)
        services.payment_process(payment_id=payment.pk)

        assert state(payment) == ("PROCESSING", "paying")
        heal()
        assert state(payment) == ("SUCCESS", "validated")
        audit()


class TestUnknown:
    @pytest.mark.parametrize("operation", ["create_intent", "confirm"])
    @pytest.mark.parametrize("moment", ["before", "after", "500"])
    def test_a_lost_request_or_answer_is_never_declined(
        self, api: APIClient, payment: Payment, settings: Any, operation: str, moment: str
    ) -> None:
        settings.SANDBOX_FAULTS = {operation: moment}
        pay(api, payment)
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")
        assert api.get(f"{PAYMENTS}{payment.pk}/").json()["payment_status"] == "PROCESSING"

        settings.SANDBOX_FAULTS = {}
        if moment == "500" and operation == "create_intent":
            reach_deadline(payment)  # the stored 500 is the only answer to this key from now on
        heal()
        kept = moment == "500"
        assert state(payment) == (("FAILURE", "held") if kept else ("SUCCESS", "validated"))
        audit()

    def test_a_request_lost_before_the_charge_is_repeated_with_the_same_key(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        settings.SANDBOX_FAULTS = {"confirm": "before"}
        pay(api, payment)
        work(payment)
        settings.SANDBOX_FAULTS = {}
        heal()

        assert state(payment) == ("SUCCESS", "validated")
        assert charges(payment) == ["succeeded"]

    def test_an_intent_that_only_the_third_attempt_can_make_is_still_charged(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        settings.SANDBOX_FAULTS = {"create_intent": "before"}
        pay(api, payment)
        work(payment)
        lapse()
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")

        settings.SANDBOX_FAULTS = {}
        lapse()
        work(payment)

        assert (payment.attempts, charges(payment)) == (3, ["succeeded"])
        assert state(payment) == ("SUCCESS", "validated")
        audit()

    def test_a_time_out_that_charged_is_a_success(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "timeout_charged")
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")
        heal()

        assert state(payment) == ("SUCCESS", "validated")
        audit()

    def test_a_time_out_that_did_not_charge_is_cancelled_and_may_be_tried_again(
        self, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment, "timeout_uncharged")
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")
        heal()

        assert state(payment) == ("FAILURE", "held")
        assert charges(payment) == ["cancelled"]
        assert "not charged" in payment.error
        pay(api, payment, "ok")
        assert work(payment).status == "SUCCESS"
        assert charges(payment) == ["cancelled", "succeeded"]
        audit()

    def test_the_buyers_step_stays_while_the_gateway_is_silent(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        def step() -> Any:
            lapse()
            work(payment)
            return api.get(f"{PAYMENTS}{payment.pk}/").json()["requires_action"]

        pay(api, payment, "timeout_uncharged")
        work(payment)
        secure = {"type": "stripe", "client_secret": "pi_1_secret_1"}
        Payment.objects.update(requires_action=secure)
        settings.SANDBOX_FAULTS = {"retrieve": "before"}

        assert [step(), step()] == [secure, secure]
        settings.SANDBOX_FAULTS = {}
        assert step() is None, "control: an answer ends it"

    def test_control_a_time_out_that_counts_as_a_refusal_is_noticed(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Show, as a negative control, that a time-out that counts as a refusal charges money without tickets."""
        pay(api, payment, "timeout_charged")
        original = SandboxGateway.confirm

        def declined(self: SandboxGateway, **request: Any) -> rules.Charge:
            try:
                return original(self, **request)
            except GatewayUnknown:
                return rules.Charge(outcome="declined")

        monkeypatch.setattr(SandboxGateway, "confirm", declined)
        work(payment)
        with pytest.raises(AssertionError):
            audit()

    def test_control_a_new_key_for_each_repetition_is_noticed(
        self, api: APIClient, payment: Payment, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Show, as a negative control, that a repetition under a new key charges a second time."""
        keys = iter(range(1000))
        monkeypatch.setattr(
            protocol, "gateway_key", lambda operation, **_: f"{operation}:{payment.pk}:new{next(keys)}"
        )
        monkeypatch.setattr(processing.operations, "payment_remember_intent", lambda **_: None)
        original = SandboxGateway.create_intent

        def remember(self: SandboxGateway, **request: Any) -> str:
            intent = original(self, **request)
            self.confirm(key=f"c{next(keys)}", intent=intent)
            raise GatewayUnknown("the worker died here")

        monkeypatch.setattr(SandboxGateway, "create_intent", remember)
        pay(api, payment)
        work(payment)
        lapse()
        work(payment)
        with pytest.raises(AssertionError, match="charged twice"):
            audit()

    def test_another_amount_than_asked_is_never_taken_for_the_price(
        self, api: APIClient, payment: Payment
    ) -> None:
        charged_wrongly(api, payment)
        work(payment)

        assert state(payment) == ("PROCESSING", "paying")
        assert Incident.objects.get().cause == "wrong_amount"


class TestDeadline:
    def test_an_unsettled_payment_is_cancelled_before_its_hold_is_released(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        settings.SANDBOX_FAULTS = {"confirm": "before"}
        pay(api, payment)
        work(payment)
        reach_deadline(payment)
        expire(payment)
        lapse()
        work(payment)

        assert state(payment) == ("FAILURE", "expired")
        assert charges(payment) == ["cancelled"]
        assert stock(payment) == (0, 0, 0)

    def test_a_charge_found_at_the_deadline_is_a_success(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        pay(api, payment)
        work(payment)
        reach_deadline(payment)
        expire(payment)
        lapse()
        work(payment)

        assert state(payment) == ("SUCCESS", "validated")

    def test_a_silent_gateway_keeps_the_hold_up_to_the_cap(
        self, api: APIClient, payment: Payment, settings: Any
    ) -> None:
        pay(api, payment, "timeout_uncharged")
        work(payment)
        settings.SANDBOX_FAULTS = {"retrieve": "before"}
        reach_deadline(payment)
        expire(payment)
        lapse()
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")
        assert due_holds_sweep() == 0

        abandon(payment, settings)
        assert state(payment) == ("ABANDONED", "expired")
        assert Incident.objects.get().cause == "gateway_silent"
        shown = api.get(f"{PAYMENTS}{payment.pk}/").json()
        assert shown["payment_status"] == "FAILURE"
        assert "money back" in shown["error"]
        assert pay(api, payment).status_code == 410
        assert api.delete(f"{PAYMENTS}{payment.pk}/").status_code == 409

        heal()
        assert state(payment) == ("FAILURE", "expired")
        assert charges(payment) == ["cancelled"]
        kept = api.delete(f"{PAYMENTS}{payment.pk}/")
        assert (kept.status_code, kept.json()["code"]) == (409, "payment_started")
        assert kept.json()["detail"] == operations.INCIDENT_SENTENCE
        assert Incident.objects.get().payment_id == payment.pk, "staff still see what happened"

    def test_another_amount_than_asked_keeps_the_hold_up_to_the_cap(
        self, api: APIClient, payment: Payment
    ) -> None:
        charged_wrongly(api, payment)
        expire(payment)
        reach_deadline(payment)
        lapse()
        work(payment)
        assert state(payment) == ("PROCESSING", "paying")
        reach_deadline(payment, after=rules.CAP)
        lapse()
        work(payment)
        assert state(payment) == ("ABANDONED", "expired")
        assert stock(payment) == (0, 0, 0)
        assert Incident.objects.get().cause == "wrong_amount", "the gateway is not silent"

        lapse()
        work(payment)
        assert state(payment) == ("ABANDONED", "expired"), "it is looked at again, and nothing is sold"
        assert payment.next_look_at is not None
        reach_deadline(payment, after=rules.CAP + rules.LATE_FOR)
        lapse()
        assert work(payment).next_look_at is None

    def test_a_gateway_that_fails_in_its_own_way_keeps_the_hold_up_to_the_cap(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise KeyError("status")

        pay(api, payment)
        with monkeypatch.context() as failing:
            failing.setattr(SandboxGateway, "create_intent", fail)
            work(payment)
            assert state(payment) == ("PROCESSING", "paying")
            assert payment.lease_until is None
            Payment.objects.update(gateway_reference="pi_asked")
            failing.setattr(SandboxGateway, "retrieve", fail)
            reach_deadline(payment, after=rules.CAP)
            expire(payment)
            lapse()
            work(payment)
        assert state(payment) == ("ABANDONED", "expired")

    def test_an_error_of_our_database_does_not_count_as_silence_of_the_gateway(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: Any) -> None:
            raise OperationalError("the server closed the connection")

        pay(api, payment)
        with monkeypatch.context() as failing:
            failing.setattr(processing.operations, "payment_remember_intent", fail)
            with pytest.raises(OperationalError):
                work(payment)
        payment.refresh_from_db()
        assert payment.lease_until is not None
        heal()
        assert state(payment) == ("SUCCESS", "validated")
        audit()

    def test_a_payment_that_kills_its_workers_comes_before_staff(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pay(api, payment)
        Payment.objects.update(attempts=rules.STUCK_ATTEMPTS - 1)

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(SandboxGateway, "create_intent", die)
        with pytest.raises(KeyboardInterrupt):
            work(payment)
        assert Incident.objects.get().cause == "stuck"


class TestLateMoney:
    @pytest.fixture
    def abandoned(self, api: APIClient, payment: Payment, settings: Any) -> Payment:
        """Return a payment that was charged by a silent gateway, and abandoned."""
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        pay(api, payment)
        work(payment)
        abandon(payment, settings)
        assert state(payment) == ("ABANDONED", "expired")
        return payment

    def test_late_money_gets_its_tickets_if_there_are_any(self, abandoned: Payment) -> None:
        heal()

        assert state(abandoned) == ("SUCCESS", "validated")
        assert stock(abandoned) == (0, 2, 3000)
        audit()

    @pytest.fixture
    def abandoned_on_hold(self, api: APIClient, payment: Payment, settings: Any) -> Payment:
        """Return such a payment whose hold has time left, as with long HOLD_SECONDS."""
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        pay(api, payment)
        work(payment)
        settings.SANDBOX_FAULTS = {"retrieve": "before"}
        reach_deadline(payment, after=rules.CAP)
        lapse()
        work(payment)
        assert state(payment) == ("ABANDONED", "held")
        settings.SANDBOX_FAULTS = {}
        return payment

    def test_late_money_gets_the_tickets_of_its_own_due_hold(self, abandoned_on_hold: Payment) -> None:
        expire(abandoned_on_hold)
        lapse()
        work(abandoned_on_hold)

        assert state(abandoned_on_hold) == ("SUCCESS", "validated")
        assert stock(abandoned_on_hold) == (0, 2, 3000)
        audit()

    def test_a_second_try_is_told_that_the_hold_is_over(self, api: APIClient, abandoned: Payment) -> None:
        refused = pay(api, abandoned)

        assert refused.status_code == 410
        told = {name: refused.json()[name] for name in ("code", "state", "reservations")}
        assert told == {
            "code": "reservation_expired",
            "state": "expired",
            "reservations": [abandoned.reservation_id],
        }

    def test_while_the_hold_has_time_left_it_is_neither_paid_again_nor_removed(
        self, api: APIClient, buyer: User, abandoned_on_hold: Payment
    ) -> None:
        again, removed = pay(api, abandoned_on_hold), api.delete(f"{PAYMENTS}{abandoned_on_hold.pk}/")

        assert (again.status_code, again.json()["code"]) == (409, "payment_in_progress")
        assert (removed.status_code, removed.json()["code"]) == (409, "payment_started")
        assert again.json()["detail"] == removed.json()["detail"] == rules.UNANSWERED_SENTENCE
        page = Client()
        page.force_login(buyer)
        pressed = page.post(f"/checkout/{abandoned_on_hold.reservation_id}/pay/", {"token": "ok"})
        assert pressed.status_code == 409
        assert "A payment for these tickets is in progress." in pressed.content.decode()
        assert rules.ABANDONED_SENTENCE in pressed.content.decode()
        heal()
        assert state(abandoned_on_hold) == ("SUCCESS", "validated")
        assert charges(abandoned_on_hold) == ["succeeded"]
        audit()

    def test_while_the_hold_has_time_left_its_page_offers_neither_to_pay_nor_to_change_the_order(
        self, buyer: User, abandoned_on_hold: Payment
    ) -> None:
        page = Client()
        page.force_login(buyer)
        shown = page.get(f"/checkout/{abandoned_on_hold.reservation_id}/").content.decode()

        assert 'data-stage="unanswered"' in shown
        headline = re.search(r"<h1[^>]*(?<! hidden)>([^<]+)", shown)
        assert headline
        assert headline[1] == "Your payment is not confirmed"
        for hidden in ('<form class="stack pay"', '<div class="lines"'):
            [tag] = re.findall(f"{hidden}[^>]*>", shown)
            assert tag.endswith(" hidden>"), tag
        assert re.search(r'<p class="alert"[^>]*(?<! hidden)>The payment service does not answer', shown)
        assert "Reserved until" in page.get("/me/").content.decode()

    def test_control_a_second_try_of_an_abandoned_payment_would_charge_twice(
        self, api: APIClient, buyer: User, abandoned_on_hold: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rules, "check_answered", lambda _status: None)
        with pytest.raises((AssertionError, StateChanged)):
            self.test_while_the_hold_has_time_left_it_is_neither_paid_again_nor_removed(
                api, buyer, abandoned_on_hold
            )

    def test_late_money_is_refunded_if_no_tickets_are_left(
        self, api: APIClient, abandoned: Payment, user_make: Callable[..., User]
    ) -> None:
        ticket_type = abandoned.reservation.ticket_type
        for _ in range(5):
            assert reserve(api_of(user_make()), ticket_type, 10 if _ < 4 else 9).status_code == 201
        lapse()
        work(abandoned)

        assert state(abandoned) == ("REFUNDING", "expired")
        shown = api.get(f"{PAYMENTS}{abandoned.pk}/").json()
        assert shown["payment_status"] == "PROCESSING"
        assert "being refunded" in shown["error"]
        heal()
        assert state(abandoned) == ("REFUNDED", "expired")
        assert api.get(f"{PAYMENTS}{abandoned.pk}/").json()["payment_status"] == "REFUNDED"
        assert stock(abandoned) == (49, 0, 0)
        assert Refund.objects.get().requested_by is None
        audit()

    def test_due_holds_make_room_for_late_money(
        self, abandoned: Payment, user_make: Callable[..., User]
    ) -> None:
        ticket_type = abandoned.reservation.ticket_type
        for _ in range(5):
            reserve(api_of(user_make()), ticket_type, 10)
        past = timezone.now() - timedelta(seconds=1)
        Reservation.objects.filter(state="held").update(expires_at=past)
        heal()

        assert state(abandoned) == ("SUCCESS", "validated")
        audit()

    def test_of_two_late_payers_for_one_ticket_one_is_refunded(
        self,
        ticket_type_make: Callable[..., TicketType],
        user_make: Callable[..., User],
        settings: Any,
    ) -> None:
        ticket_type = ticket_type_make(capacity=2)
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        late: list[Payment] = []
        for _ in range(2):
            client = api_of(user_make())
            held = reserve(client, ticket_type).json()["id"]
            made = client.post(PAYMENTS, {"reservation_id": held}, format="json").json()
            late.append(Payment.objects.get(pk=made["id"]))
            pay(client, late[-1])
            work(late[-1])
        for payment in late:
            abandon(payment, settings)
        # One of the two free tickets is taken.
        assert reserve(api_of(user_make()), ticket_type).status_code == 201

        lapse()
        together(
            *[lambda payment=payment: services.payment_process(payment_id=payment.pk) for payment in late]
        )
        heal()

        assert sorted(state(payment) for payment in late) == [
            ("REFUNDED", "expired"),
            ("SUCCESS", "validated"),
        ]
        assert stock(late[0]) == (1, 1, 1500)
        audit()
