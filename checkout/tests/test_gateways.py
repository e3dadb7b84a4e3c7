"""One contract for every gateway: the sandbox, and Stripe's SDK over real HTTP against localstripe.

localstripe ignores idempotency keys, so the rules for those are tried on the sandbox alone.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import gateways, services
from checkout.gateways import ForgedWebhook, Gateway, GatewayRefused, GatewayUnknown, ledger
from checkout.models import Payment, WebhookEvent
from checkout.rules import Charge
from checkout.tests.paying import PAYMENTS, heal, pay, work
from overlord.embedded import ports, processes
from overlord.embedded.processes import Program
from tests.system import eventually
from tickets.models import Inventory, TicketType
from tickets.tests.reserving import reserve

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).resolve().parents[2]
TOKENS = {
    "sandbox": {"good": "ok", "declined": "card_error"},
    "stripe": {"good": "pm_card_visa", "declined": "pm_card_chargeCustomerFail"},
}
SECRETS = ["whsec_new", "whsec_old"]
_numbers = itertools.count(int(time.time() * 1000))


NOBODYS = -7  # the sandbox's ledger outlives a test, and no payment of another test has this id


def key() -> str:
    return f"test:{next(_numbers)}"


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve Stripe's API on this machine, and yield its address."""
    folder, port = tmp_path_factory.mktemp("localstripe"), ports.any_free()
    url = f"http://127.0.0.1:{port}"
    program = Program(
        name="localstripe",
        argv=(sys.executable, "-m", "tests.localstripe_server", str(port)),
        env=os.environ,
        cwd=ROOT,
        ready=lambda: _answers(url),
    )
    child = processes.start(program, folder)
    child.wait_ready()
    yield url
    child.stop()


def _answers(url: str) -> bool:
    try:
        return (
            httpx.get(f"{url}/v1/customers", headers={"Authorization": "Bearer sk_test_1"}).status_code == 200
        )
    except httpx.HTTPError:
        return False


@pytest.fixture
def use_stripe(localstripe: str, settings: Any) -> Iterator[None]:
    settings.PAYMENT_GATEWAY = "stripe"
    settings.STRIPE_SECRET_KEY = "sk_test_12345"
    settings.STRIPE_API_BASE = localstripe
    settings.STRIPE_WEBHOOK_SECRETS = SECRETS
    gateways.named.cache_clear()
    yield
    gateways.named.cache_clear()


@pytest.fixture(params=["sandbox", "stripe"])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    request.getfixturevalue("use_stripe")
    return gateways.named(request.param)


@pytest.fixture
def tokens(request: pytest.FixtureRequest) -> dict[str, str]:
    return TOKENS[request.node.callspec.params["gateway"]]


def intent(gateway: Gateway, token: str, amount: int = 3000) -> str:
    return gateway.create_intent(
        key=key(), amount_minor=amount, currency="EUR", payment_id=NOBODYS, token=token
    )


class TestTheContract:
    def test_an_intent_charges_nobody_until_confirmed(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        made = intent(gateway, tokens["good"])
        assert gateway.retrieve(intent=made) == Charge(outcome="unconfirmed", currency="EUR")

        succeeded = Charge(outcome="succeeded", charged_minor=3000, currency="EUR")
        assert gateway.confirm(key=key(), intent=made) == succeeded
        assert gateway.retrieve(intent=made) == succeeded

    def test_the_list_has_all_charges_and_refunds(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        began = timezone.now() - timedelta(minutes=1)
        charged, unconfirmed = intent(gateway, tokens["good"]), intent(gateway, tokens["good"])
        gateway.confirm(key=key(), intent=charged)
        gateway.refund(key=key(), intent=charged, amount_minor=1000, currency="EUR", refund_id=NOBODYS)

        listed = {each.intent: each for each in gateway.charges(since=began)}

        found = listed[charged]
        assert (found.payment_id, found.currency) == (NOBODYS, "EUR")
        assert (found.charged_minor, found.refunded_minor) == (3000, 1000)
        assert unconfirmed not in listed

    def test_a_second_confirmation_charges_nobody_again(
        self, gateway: Gateway, tokens: dict[str, str]
    ) -> None:
        made = intent(gateway, tokens["good"])
        first = gateway.confirm(key=key(), intent=made)
        assert gateway.confirm(key=key(), intent=made) == first

    def test_a_declined_card_charges_nothing(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        made = intent(gateway, tokens["declined"])
        assert gateway.confirm(key=key(), intent=made).outcome == "declined"
        assert gateway.retrieve(intent=made).outcome == "declined"

    def test_a_cancelled_intent_is_not_charged(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        made = intent(gateway, tokens["good"])
        gateway.cancel(key=key(), intent=made)
        assert gateway.retrieve(intent=made).outcome == "cancelled"
        assert gateway.confirm(key=key(), intent=made).outcome == "cancelled"

    def test_a_charged_intent_cannot_be_cancelled(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        made = intent(gateway, tokens["good"])
        gateway.confirm(key=key(), intent=made)
        gateway.cancel(key=key(), intent=made)
        assert gateway.retrieve(intent=made).outcome == "succeeded"

    def test_a_charge_is_refunded(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        made = intent(gateway, tokens["good"])
        gateway.confirm(key=key(), intent=made)
        refunded = gateway.refund(key=key(), intent=made, amount_minor=1000, currency="EUR", refund_id=1)
        assert refunded.outcome == "succeeded"
        assert refunded.reference

    def test_an_intent_without_a_charge_is_not_refunded(
        self, gateway: Gateway, tokens: dict[str, str]
    ) -> None:
        made = intent(gateway, tokens["declined"])
        gateway.confirm(key=key(), intent=made)
        assert (
            gateway.refund(key=key(), intent=made, amount_minor=1000, currency="EUR", refund_id=1).outcome
            == "failed"
        )

    def test_a_refund_is_found_by_its_name_and_by_its_key(
        self, gateway: Gateway, tokens: dict[str, str]
    ) -> None:
        made = intent(gateway, tokens["good"])
        gateway.confirm(key=key(), intent=made)
        asked = {"key": key(), "intent": made, "amount_minor": 1000, "currency": "EUR", "refund_id": 1}
        assert gateway.refund_find(**asked) is None  # type: ignore[arg-type]
        refunded = gateway.refund(**asked)  # type: ignore[arg-type]

        assert gateway.refund_find(**asked) == refunded  # type: ignore[arg-type]
        assert gateway.refund_retrieve(reference=refunded.reference) == refunded
        assert gateway.refund_find(**{**asked, "key": key()}) is None  # type: ignore[arg-type]

    def test_a_refund_that_the_gateway_does_not_know_is_unknown(self, gateway: Gateway) -> None:
        with pytest.raises(GatewayUnknown):
            gateway.refund_retrieve(reference="re_nobody_knows")

    def test_a_forged_message_is_refused(self, gateway: Gateway) -> None:
        for headers in ({}, {"Stripe-Signature": "t=1,v1=0", "Sandbox-Signature": "1.0"}):
            with pytest.raises(ForgedWebhook):
                gateway.parse_webhook(body=b"{}", headers=headers)


class TestStripe:
    """Stripe, as far as localstripe behaves like it."""

    pytestmark = pytest.mark.usefixtures("use_stripe")

    @pytest.fixture
    def payment(self, use_stripe: None, api: APIClient, ticket_type: TicketType) -> Payment:
        held = reserve(api, ticket_type, 2).json()["id"]
        made = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()
        return Payment.objects.get(pk=made["id"])

    def test_the_whole_path(self, api: APIClient, payment: Payment, user_make: Callable[..., Any]) -> None:
        pay(api, payment, "pm_card_chargeCustomerFail")
        assert work(payment).status == "FAILURE"
        pay(api, payment, "pm_card_visa")
        assert work(payment).status == "SUCCESS"
        assert payment.gateway_reference.startswith("pi_")

        boss = user_make(is_staff=True)
        services.refund_request(
            staff_id=boss.pk, payment_id=payment.pk, amount_minor=None, return_tickets=True
        )
        heal(rounds=1)
        payment.refresh_from_db()
        assert payment.status == "REFUNDED"
        assert Inventory.objects.get().sold == 0

    def test_a_token_that_is_none_fails_and_may_be_replaced(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "pm_nobody_knows")
        assert work(payment).status == "FAILURE"
        pay(api, payment, "pm_card_visa")
        assert work(payment).status == "SUCCESS"

    def test_3d_secure_is_left_to_the_buyer_and_then_asked_about(
        self, api: APIClient, payment: Payment, localstripe: str
    ) -> None:
        card = {"number": "4000002500003155", "exp_month": "12", "exp_year": "2030", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
        auth = {"Authorization": "Bearer sk_test_12345"}
        method = httpx.post(f"{localstripe}/v1/payment_methods", data=form, headers=auth).json()["id"]

        pay(api, payment, method)
        work(payment)
        shown = api.get(f"{PAYMENTS}{payment.pk}/").json()
        assert (shown["payment_status"], shown["requires_action"]["type"]) == ("PROCESSING", "stripe")
        secret = shown["requires_action"]["client_secret"]

        authenticate = f"{localstripe}/v1/payment_intents/{payment.gateway_reference}/_authenticate"
        body = {"key": "pk_test_12345", "client_secret": secret, "success": "true"}
        assert httpx.post(authenticate, data=body).status_code == 200
        heal(rounds=1)
        payment.refresh_from_db()
        assert (payment.status, payment.requires_action) == ("SUCCESS", None)

    def test_a_signed_message_is_accepted(
        self, api: APIClient, payment: Payment, localstripe: str, live_server: Any
    ) -> None:
        hook = {"url": f"{live_server.url}/payment/webhooks/stripe/", "secret": SECRETS[1]}
        httpx.post(f"{localstripe}/_config/webhooks/ours", data=hook).raise_for_status()
        pay(api, payment, "pm_card_visa")
        work(payment)

        assert eventually(lambda: WebhookEvent.objects.filter(gateway="stripe").exists())
        httpx.post(f"{localstripe}/_config/webhooks/ours", data={**hook, "url": "http://127.0.0.1:9/"})

    @pytest.mark.parametrize("secret", SECRETS)
    def test_a_message_signed_by_either_active_secret_is_accepted(
        self, secret: str, use_stripe: None
    ) -> None:
        body = (
            '{"id": "evt_1", "object": "event", "api_version": null, "type": "payment_intent.succeeded",'
            ' "data": {"object": {"object": "payment_intent", "id": "pi_1"}}}'
        )
        header = stripe.WebhookSignature.generate_signature_header(body, secret)
        news = gateways.named("stripe").parse_webhook(
            body=body.encode(), headers={"Stripe-Signature": header}
        )
        assert (news.event_id, news.intent) == ("evt_1", "pi_1")

        other = stripe.WebhookSignature.generate_signature_header(body, "whsec_other")
        with pytest.raises(ForgedWebhook):
            gateways.named("stripe").parse_webhook(body=body.encode(), headers={"Stripe-Signature": other})

    def test_a_call_without_an_answer_is_unknown(self, settings: Any, use_stripe: None) -> None:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{ports.any_free()}"
        gateways.named.cache_clear()
        gone = gateways.named("stripe")
        for ask in (
            lambda: gone.create_intent(
                key="k", amount_minor=1, currency="EUR", payment_id=1, token="pm_card_visa"
            ),
            lambda: gone.confirm(key="k", intent="pi_1"),
            lambda: gone.retrieve(intent="pi_1"),
            lambda: gone.cancel(key="k", intent="pi_1"),
            lambda: gone.refund(key="k", intent="pi_1", amount_minor=1, currency="EUR", refund_id=1),
            lambda: gone.refund_find(key="k", intent="pi_1", amount_minor=1, currency="EUR", refund_id=1),
            lambda: gone.refund_retrieve(reference="re_1"),
        ):
            with pytest.raises(GatewayUnknown):
                ask()

    @pytest.mark.parametrize(
        ("currency", "minor", "theirs"), [("ISK", 5_000, 500_000), ("MGA", 500_000, 5_000)]
    )
    def test_a_currency_with_other_decimals_at_stripe_is_charged_and_refunded_at_its_price(
        self, currency: str, minor: int, theirs: int, use_stripe: None, localstripe: str
    ) -> None:
        gateway = gateways.named("stripe")
        about = {"amount_minor": minor, "currency": currency}
        made = gateway.create_intent(key=key(), payment_id=NOBODYS, token="pm_card_visa", **about)
        asked = httpx.get(
            f"{localstripe}/v1/payment_intents/{made}", headers={"Authorization": "Bearer sk_test_1"}
        )
        assert asked.json()["amount"] == theirs
        assert gateway.confirm(key=key(), intent=made).charged_minor == minor
        assert gateway.refund(key=key(), intent=made, refund_id=1, **about).outcome == "succeeded"

    def test_a_request_that_stripe_never_accepts_is_refused(self, use_stripe: None) -> None:
        with pytest.raises(GatewayRefused):
            intent(gateways.named("stripe"), "pm_nobody_knows")


class TestTheSandboxsKeys:
    def test_the_first_answer_is_kept(self) -> None:
        sandbox = gateways.named("sandbox")
        again = {"key": key(), "amount_minor": 5, "currency": "EUR", "payment_id": 0, "token": "ok"}
        assert sandbox.create_intent(**again) == sandbox.create_intent(**again)  # type: ignore[arg-type]

    def test_an_answer_of_500_is_kept_too(self, settings: Any) -> None:
        sandbox, again = gateways.named("sandbox"), key()
        made = intent(sandbox, "ok")
        settings.SANDBOX_FAULTS = {"confirm": "500"}
        with pytest.raises(GatewayUnknown):
            sandbox.confirm(key=again, intent=made)
        settings.SANDBOX_FAULTS = {}
        with pytest.raises(GatewayUnknown):
            sandbox.confirm(key=again, intent=made)
        assert sandbox.retrieve(intent=made).outcome == "unconfirmed"

    def test_another_body_is_an_error(self) -> None:
        sandbox, again = gateways.named("sandbox"), key()
        sandbox.create_intent(key=again, amount_minor=5, currency="EUR", payment_id=0, token="ok")
        with pytest.raises(ledger.KeyReused):
            sandbox.create_intent(key=again, amount_minor=6, currency="EUR", payment_id=0, token="ok")

    def test_a_key_whose_request_is_in_progress_conflicts(self) -> None:
        again = f"create:{timezone.now().timestamp()}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 7))", [again])
            try:
                with pytest.raises(GatewayUnknown):
                    gateways.named("sandbox").create_intent(
                        key=again, amount_minor=5, currency="EUR", payment_id=0, token="ok"
                    )
            finally:
                cursor.execute("SELECT pg_advisory_unlock_all()")

    def test_no_more_is_refunded_than_was_charged(self) -> None:
        sandbox = gateways.named("sandbox")
        made = intent(sandbox, "ok", amount=1000)
        sandbox.confirm(key=key(), intent=made)
        first = sandbox.refund(key=key(), intent=made, amount_minor=700, currency="EUR", refund_id=1)
        second = sandbox.refund(key=key(), intent=made, amount_minor=301, currency="EUR", refund_id=2)
        assert (first.outcome, second.outcome) == ("succeeded", "failed")
