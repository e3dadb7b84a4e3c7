"""Refunds that Stripe does not finish at once, and keys that it forgets after a day."""

import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import gateways, rules, selectors, services, tasks
from checkout.gateways import CALL_SECONDS
from checkout.gateways.stripe import StripeGateway
from checkout.models import Incident, Payment, Refund, RefundNotice, UnmatchedCharge
from checkout.services import refunds
from checkout.tests.fake_stripe import FakeStripe, running
from checkout.tests.paying import heal, lapse, pay, stock, waiting_ids, work
from overlord.accounts.models import User
from overlord.kernel.queues import Queue

pytestmark = pytest.mark.django_db(transaction=True)

INTENT = "pi_1"
SECRET = "whsec_1"


@pytest.fixture
def stripe(settings: Any) -> Iterator[FakeStripe]:
    """Serve a Stripe that has charged 30.00."""
    with running(FakeStripe(charged=3000)) as fake:
        settings.STRIPE_SECRET_KEY = "sk_test_12345"
        settings.STRIPE_API_BASE = fake.url
        gateways.named.cache_clear()
        yield fake
        gateways.named.cache_clear()


@pytest.fixture
def paid(api: APIClient, payment: Payment, stripe: FakeStripe) -> Payment:
    """Two tickets, paid with 30.00 EUR, as if at Stripe."""
    pay(api, payment)
    work(payment)
    Payment.objects.filter(pk=payment.pk).update(gateway="stripe", gateway_reference=INTENT)
    payment.refresh_from_db()
    return payment


@pytest.fixture
def start(paid: Payment, user_make: Callable[..., User]) -> Callable[..., Refund]:
    def request(amount_minor: int | None = 1000) -> Refund:
        services.refund_request(
            staff_id=user_make().pk, payment_id=paid.pk, amount_minor=amount_minor, return_tickets=False
        )
        return look(Refund.objects.get())

    return request


def look(refund: Refund) -> Refund:
    """Do what the worker does when the refund is due."""
    lapse()
    services.refund_process(refund_id=refund.pk)
    refund.refresh_from_db()
    return refund


def paid_back_once(stripe: FakeStripe) -> None:
    """Check that Stripe has exactly one refund."""
    assert len(stripe.refunds) == 1, "paid back twice"


class TestPending:
    @pytest.fixture
    def pending(self, stripe: FakeStripe, start: Callable[..., Refund]) -> Refund:
        stripe.status = "pending"
        return start()

    def test_a_pending_refund_is_looked_at_by_its_name_until_it_succeeds(
        self, stripe: FakeStripe, paid: Payment, pending: Refund
    ) -> None:
        assert (pending.status, pending.gateway_reference) == ("PROCESSING", "re_1")
        assert look(pending).status == "PROCESSING"
        stripe.conclude("succeeded")

        assert look(pending).status == "SUCCESS"
        assert stripe.posted == 1
        paid.refresh_from_db()
        assert (paid.status, paid.refunded_minor) == ("SUCCESS", 1000)

    def test_no_second_one_is_made_when_the_key_is_forgotten(
        self, stripe: FakeStripe, pending: Refund
    ) -> None:
        stripe.forget_keys()
        heal()
        paid_back_once(stripe)
        stripe.conclude("succeeded")
        assert look(pending).status == "SUCCESS"
        paid_back_once(stripe)

    def test_control_a_refund_that_asks_only_by_its_key_is_paid_twice(
        self, stripe: FakeStripe, pending: Refund, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Show, as a negative control, that the same request is another refund after a day of `pending` answers."""

        def by_key_alone(refund: Refund, *, now: datetime) -> Any:
            new = Refund(pk=refund.pk, **fields(refund), gateway_reference="", attempts=1, created=now)
            return ask(new, now=now)

        def fields(refund: Refund) -> dict[str, Any]:
            names = ("payment", "amount_minor", "try_number", "gateway_nonce")
            return {name: getattr(refund, name) for name in names}

        ask = refunds._ask
        monkeypatch.setattr(refunds, "_ask", by_key_alone)
        stripe.conclude("succeeded")
        assert look(pending).status == "PROCESSING", "the first answer is repeated"
        stripe.forget_keys()
        look(pending)

        with pytest.raises(AssertionError, match="twice"):
            paid_back_once(stripe)

    def test_staff_try_a_refund_that_fails_later_again_under_a_new_name(
        self, stripe: FakeStripe, pending: Refund
    ) -> None:
        stripe.conclude("failed")
        assert look(pending).status == "FAILURE"
        assert Incident.objects.get().cause == "refund_failed"

        stripe.status = "succeeded"
        services.refund_retry(staff_id=pending.requested_by_id or 0, refund_id=pending.pk)
        pending.refresh_from_db()
        assert pending.gateway_reference == ""
        look(pending)
        assert (pending.status, pending.gateway_reference) == ("SUCCESS", "re_2")

    def test_a_late_answer_to_an_earlier_try_changes_nothing(
        self, stripe: FakeStripe, paid: Payment, pending: Refund, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Let a worker hang at Stripe while another one ends the try, and staff try again."""
        original = StripeGateway.refund_retrieve

        def hang(gateway: StripeGateway, *, reference: str) -> rules.Refunded:
            answer = original(gateway, reference=reference)
            monkeypatch.setattr(StripeGateway, "refund_retrieve", original)
            assert look(pending).status == "FAILURE"
            services.refund_retry(staff_id=pending.requested_by_id or 0, refund_id=pending.pk)
            assert look(pending).status == "PROCESSING"
            return answer

        stripe.conclude("failed")
        monkeypatch.setattr(StripeGateway, "refund_retrieve", hang)

        assert look(pending).status == "PROCESSING"
        stripe.conclude("succeeded")
        assert look(pending).status == "SUCCESS"
        paid.refresh_from_db()
        assert paid.refunded_minor == 1000

    def test_a_refund_that_stripe_no_longer_knows_is_not_made_again(
        self, stripe: FakeStripe, pending: Refund
    ) -> None:
        stripe.refunds.clear()
        stripe.forget_keys()
        assert look(pending).status == "PROCESSING"
        assert stripe.posted == 1
        assert pending.gateway_reference == "re_1"


class TestFailsLate:
    """The bank rejects a refund that Stripe had already called successful."""

    @pytest.fixture(params=[1000, None])
    def done(self, request: pytest.FixtureRequest, start: Callable[..., Refund]) -> Refund:
        refund = start(request.param)
        assert refund.status == "SUCCESS"
        return refund

    def _figures(self, payment: Payment) -> tuple[str, int, int]:
        payment.refresh_from_db()
        return payment.status, payment.refunded_minor, stock(payment)[2]

    def _tell(self, refund: Refund) -> int:
        about = {"id": refund.gateway_reference, "object": "refund", "payment_intent": INTENT}
        body = json.dumps(
            {"id": "evt_1", "object": "event", "type": "refund.failed", "data": {"object": about}}
        )
        stamp = str(int(time.time()))
        signed = hmac.new(SECRET.encode(), f"{stamp}.{body}".encode(), "sha256").hexdigest()
        return (
            APIClient()
            .post(
                "/payment/webhooks/stripe/",
                data=body,
                content_type="application/json",
                headers={"Stripe-Signature": f"t={stamp},v1={signed}"},
            )
            .status_code
        )

    def test_staff_see_it_and_try_again(self, stripe: FakeStripe, paid: Payment, done: Refund) -> None:
        before = self._figures(paid)
        stripe.conclude("failed")
        services.refund_look_again(refund_id=done.pk)

        done.refresh_from_db()
        assert (done.status, Incident.objects.get().cause) == ("FAILURE", "refund_failed")
        in_full = before[0] == "REFUNDED"
        assert self._figures(paid) == (before if in_full else ("SUCCESS", 0, 3000))

        services.refund_retry(staff_id=done.requested_by_id or 0, refund_id=done.pk)
        assert look(done).status == "SUCCESS"
        assert self._figures(paid) == before
        assert [each["status"] for each in stripe.refunds] == ["succeeded", "failed"]
        with pytest.raises(rules.RefundInProgress):
            services.refund_retry(staff_id=done.requested_by_id or 0, refund_id=done.pk)

    def test_a_failed_refund_is_not_tried_again_when_another_has_paid_all_back(
        self, stripe: FakeStripe, start: Callable[..., Refund], paid: Payment
    ) -> None:
        first = start(1000)
        stripe.conclude("failed")
        services.refund_look_again(refund_id=first.pk)
        staff = {"staff_id": first.requested_by_id or 0}
        services.refund_request(payment_id=paid.pk, amount_minor=None, return_tickets=False, **staff)
        heal()
        assert self._figures(paid) == ("REFUNDED", 3000, 0)

        with pytest.raises(rules.NotRefundable):
            services.refund_retry(refund_id=first.pk, **staff)

    def test_a_failed_refund_is_not_tried_again_when_less_than_it_is_left(
        self, stripe: FakeStripe, start: Callable[..., Refund], paid: Payment
    ) -> None:
        first = start(1000)
        stripe.conclude("failed")
        services.refund_look_again(refund_id=first.pk)
        staff = {"staff_id": first.requested_by_id or 0}
        services.refund_request(payment_id=paid.pk, amount_minor=2001, return_tickets=False, **staff)
        heal()

        with pytest.raises(rules.RefundTooLarge):
            services.refund_retry(refund_id=first.pk, **staff)
        assert self._figures(paid) == ("SUCCESS", 2001, 999)

    def test_the_first_of_two_can_be_tried_again_when_both_had_paid_all_back(
        self, stripe: FakeStripe, start: Callable[..., Refund], paid: Payment
    ) -> None:
        first = start(1000)
        staff = {"staff_id": first.requested_by_id or 0}
        services.refund_request(payment_id=paid.pk, amount_minor=None, return_tickets=False, **staff)
        heal()
        assert self._figures(paid) == ("REFUNDED", 3000, 0)
        assert selectors.refund_refused(payment=paid) is None
        stripe.refunds[-1]["status"] = "failed"
        services.refund_look_again(refund_id=first.pk)

        assert selectors.refund_refused(payment=paid) == first
        services.refund_retry(refund_id=first.pk, **staff)
        assert look(first).status == "SUCCESS"
        assert selectors.refund_refused(payment=paid) is None

    def test_a_refund_that_never_succeeded_takes_nothing_of_one_that_failed_late(
        self, stripe: FakeStripe, start: Callable[..., Refund], paid: Payment
    ) -> None:
        stripe.status = "failed"
        refused = start(1000)
        assert refused.status == "FAILURE"
        stripe.status = "succeeded"
        staff = {"staff_id": refused.requested_by_id or 0}
        services.refund_request(payment_id=paid.pk, amount_minor=None, return_tickets=False, **staff)
        heal()
        whole = Refund.objects.exclude(pk=refused.pk).get()
        stripe.conclude("failed")
        services.refund_look_again(refund_id=whole.pk)

        with pytest.raises(rules.NotRefundable):
            services.refund_retry(refund_id=refused.pk, **staff)
        assert selectors.refund_refused(payment=paid) == whole
        services.refund_retry(refund_id=whole.pk, **staff)
        assert look(whole).status == "SUCCESS"

    def test_a_message_tells_a_worker(self, settings: Any, stripe: FakeStripe, done: Refund) -> None:
        settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
        before = waiting_ids(Queue.PAYMENTS).count({"refund_id": done.pk})
        assert self._tell(done) == 200
        assert waiting_ids(Queue.PAYMENTS).count({"refund_id": done.pk}) == before + 1

    def test_the_nightly_comparison_finds_a_late_failure(self, stripe: FakeStripe, done: Refund) -> None:
        def found() -> int:
            before = len(waiting_ids(Queue.PAYMENTS))
            services.refunds_compare(gateway="stripe", since=timezone.now() - timedelta(days=1))
            return len(waiting_ids(Queue.PAYMENTS)) - before

        assert found() == 0
        stripe.conclude("failed")
        assert found() == 1

    @pytest.mark.parametrize(("age", "is_found"), [(39, True), (41, False)])
    def test_the_task_of_each_night_makes_this_comparison_for_forty_days(
        self, settings: Any, stripe: FakeStripe, done: Refund, age: int, is_found: bool
    ) -> None:
        settings.PAYMENT_GATEWAY = "stripe"
        stripe.conclude("failed")
        stripe.refunds[0]["created"] = (timezone.now() - timedelta(days=age)).timestamp()
        before = len(waiting_ids(Queue.PAYMENTS))
        tasks.charges_reconcile()
        assert len(waiting_ids(Queue.PAYMENTS)) - before == int(is_found)

    def test_a_refund_that_has_not_failed_stays(self, done: Refund) -> None:
        services.refund_look_again(refund_id=done.pk)
        done.refresh_from_db()
        assert done.status == "SUCCESS"
        assert not Incident.objects.exists()


class TestUnknown:
    @pytest.mark.parametrize("amount_minor", [1000, None])
    def test_a_lost_answer_is_found_when_the_key_is_forgotten(
        self, stripe: FakeStripe, start: Callable[..., Refund], amount_minor: int | None
    ) -> None:
        stripe.fault = "lost"
        refund = start(amount_minor)
        assert (refund.status, refund.gateway_reference) == ("PROCESSING", "")
        stripe.fault = ""
        stripe.forget_keys()

        look(refund)
        assert (refund.status, refund.gateway_reference) == ("SUCCESS", "re_1")
        paid_back_once(stripe)

    def test_a_500_is_repeated_until_the_key_is_forgotten(
        self, stripe: FakeStripe, start: Callable[..., Refund]
    ) -> None:
        stripe.fault = "500"
        refund = start()
        stripe.fault = ""
        assert look(refund).status == "PROCESSING"
        assert stripe.refunds == []
        stripe.forget_keys()

        assert look(refund).status == "SUCCESS"
        paid_back_once(stripe)

    def test_a_refund_that_was_found_pending_is_remembered(
        self, stripe: FakeStripe, start: Callable[..., Refund]
    ) -> None:
        stripe.fault, stripe.status = "lost", "pending"
        refund = start()
        stripe.fault = ""
        assert (look(refund).status, refund.gateway_reference) == ("PROCESSING", "re_1")

    def test_the_refund_of_another_try_is_not_taken_for_it(
        self, stripe: FakeStripe, start: Callable[..., Refund]
    ) -> None:
        stripe.status = "pending"
        refund = start()
        stripe.conclude("failed")
        look(refund)
        services.refund_retry(staff_id=refund.requested_by_id or 0, refund_id=refund.pk)
        stripe.fault = "500"
        look(refund)
        stripe.fault, stripe.status = "", "succeeded"
        stripe.forget_keys()

        look(refund)
        assert (refund.status, refund.gateway_reference) == ("SUCCESS", "re_2")

    def test_looking_for_it_leaves_time_for_making_it(
        self, stripe: FakeStripe, start: Callable[..., Refund], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stripe.fault = "500"
        refund = start()
        posted = stripe.posted
        with monkeypatch.context() as hurried:
            hurried.setattr(refunds.rules, "LEASE", timedelta(seconds=CALL_SECONDS))
            assert look(refund).status == "PROCESSING"
            assert stripe.posted == posted
        look(refund)
        assert stripe.posted > posted


class TestRestored:
    """A backup from before the request of a refund has none of its attempts."""

    def _restore(self, stripe: FakeStripe, start: Callable[..., Refund], *, age: timedelta) -> Refund:
        refund = start()
        assert refund.status == "SUCCESS"
        before = {"status": "PENDING", "attempts": 0, "gateway_reference": "", "next_look_at": timezone.now()}
        Refund.objects.update(**before, created=timezone.now() - age)
        Payment.objects.update(status="SUCCESS", refunded_minor=1000)
        RefundNotice.objects.all().delete()
        stripe.forget_keys()
        return look(refund)

    def test_a_refund_is_looked_for_when_its_key_may_be_forgotten(
        self, stripe: FakeStripe, start: Callable[..., Refund]
    ) -> None:
        assert self._restore(stripe, start, age=timedelta(days=1, minutes=1)).status == "SUCCESS"
        paid_back_once(stripe)

    def test_control_a_refund_that_only_counts_attempts_is_paid_twice(
        self, stripe: FakeStripe, start: Callable[..., Refund], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keep keys for two days, as a negative control."""
        monkeypatch.setattr(rules, "KEY_KEPT", timedelta(days=2))
        self._restore(stripe, start, age=timedelta(days=1, minutes=1))
        with pytest.raises(AssertionError, match="twice"):
            paid_back_once(stripe)


class TestEarlierVersions:
    """Earlier versions sent refunds without our key in the metadata, so the body differs from ours."""

    def test_a_refund_of_an_earlier_version_is_found(
        self, stripe: FakeStripe, start: Callable[..., Refund]
    ) -> None:
        stripe.fault = "500"
        refund = start()
        old = {"payment_intent": INTENT, "amount": "1000", "metadata[refund]": str(refund.pk)}
        stripe.add(old, status="succeeded")
        look(refund)
        assert (refund.status, refund.gateway_reference) == ("SUCCESS", "re_1")

    @pytest.mark.parametrize(
        ("changed", "status"),
        [
            ({}, "failed"),
            ({"amount": "999"}, "succeeded"),
            ({"metadata[refund]": "0"}, "succeeded"),
            ({"metadata[key]": "another"}, "succeeded"),
        ],
    )
    def test_a_refund_that_may_be_another_is_not_taken_for_it(
        self, stripe: FakeStripe, start: Callable[..., Refund], changed: dict[str, str], status: str
    ) -> None:
        stripe.fault = "500"
        refund = start()
        old = {"payment_intent": INTENT, "amount": "1000", "metadata[refund]": str(refund.pk)}
        stripe.add(old | changed, status=status)
        stripe.fault = ""
        stripe.forget_keys()
        look(refund)
        assert (refund.status, refund.gateway_reference) == ("SUCCESS", "re_2")


class TestUnmatched:
    """A charge without a payment is paid back once, however late the request is repeated."""

    @pytest.fixture
    def charge(self, stripe: FakeStripe) -> UnmatchedCharge:
        return UnmatchedCharge.objects.create(
            gateway="stripe",
            gateway_reference=INTENT,
            payment_number=1,
            amount_minor=1000,
            currency="EUR",
            charged_at=timezone.now(),
            found_at=timezone.now(),
        )

    def _pay_back(self, charge: UnmatchedCharge) -> str:
        UnmatchedCharge.objects.update(closed_at=None)  # as if the worker had died before it wrote this
        return services.unmatched_charge_refund(staff_id=None, charge_id=charge.pk)

    def test_a_charge_is_refunded_once_when_the_key_is_forgotten(
        self, stripe: FakeStripe, charge: UnmatchedCharge
    ) -> None:
        assert self._pay_back(charge) == "succeeded"
        stripe.forget_keys()
        assert self._pay_back(charge) == "succeeded"
        paid_back_once(stripe)

    def test_after_a_failed_refund_another_one_is_made(
        self, stripe: FakeStripe, charge: UnmatchedCharge
    ) -> None:
        stripe.status = "failed"
        assert self._pay_back(charge) == "failed"
        stripe.status = "succeeded"
        assert [self._pay_back(charge) for _ in range(2)] == ["succeeded"] * 2
        assert [each["status"] for each in stripe.refunds] == ["succeeded", "failed"]
