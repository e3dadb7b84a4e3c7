"""The gateway of Stripe, with Stripe's own SDK and its PaymentIntents.

Stripe's Checkout sessions are not used, because they last for half an hour at least, which is longer than a hold.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings

from checkout.gateways.protocol import (
    ForgedWebhook,
    GatewayRefused,
    GatewayUnknown,
    ListedCharge,
    ListedRefund,
    News,
)
from checkout.gateways.stripe_amounts import NotAtStripe, from_stripe, to_stripe
from checkout.rules import Charge, Outcome, Refunded, RefundOutcome

# The SDK repeats a failed call RETRIES times. All tries together take less than CALL_SECONDS.
CONNECT_SECONDS, READ_SECONDS, RETRIES = 2, 6, 1

# The keys of our metadata on an intent. SHOP tells our intents from those of other shops in the same account.
PAYMENT, SHOP = "payment", "shop"
PAGE = 100  # intents or refunds in one answer

# The keys of our metadata on a refund.
REFUND, KEY = "refund", "key"

OUTCOMES: dict[str, Outcome] = {
    "succeeded": Outcome.SUCCEEDED,
    "canceled": Outcome.CANCELLED,
    "processing": Outcome.PENDING,
    "requires_capture": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "requires_confirmation": Outcome.UNCONFIRMED,
    "requires_payment_method": Outcome.DECLINED,  # the status after a failed charge
}

REFUND_OUTCOMES: dict[str, RefundOutcome] = {
    "succeeded": RefundOutcome.SUCCEEDED,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}


class StripeGateway:
    """Implement `gateways.Gateway`. A token is the id of a PaymentMethod, which Stripe's form made."""

    def __init__(self) -> None:
        self._client = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
            max_network_retries=RETRIES,
            base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {},
        )

    def create_intent(
        self, *, key: str, amount_minor: int, currency: str, payment_id: int, token: str
    ) -> str:
        try:
            amount = to_stripe(amount_minor, currency)
        except NotAtStripe as error:
            raise GatewayRefused(str(error)) from None
        params: Any = {
            "amount": amount,
            "currency": currency.lower(),
            "payment_method": token,
            "payment_method_types": ["card"],
            "metadata": {PAYMENT: str(payment_id), SHOP: settings.BASE_URL},
        }
        try:
            made = self._client.v1.payment_intents.create(params, options={"idempotency_key": key})
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            raise GatewayRefused(str(error)) from error
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error
        return str(made.id)

    def confirm(self, *, key: str, intent: str) -> Charge:
        try:
            confirmed = self._client.v1.payment_intents.confirm(intent, options={"idempotency_key": key})
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            # Either the card was declined now, or the intent was confirmed earlier. The intent says which.
            # Read it from Stripe's error if possible: a second call could end later than CALL_SECONDS.
            refused = error.error.payment_intent if error.error else None
            return _charge(refused) if refused else self.retrieve(intent=intent)
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error
        return _charge(confirmed)

    def retrieve(self, *, intent: str) -> Charge:
        try:
            return _charge(self._client.v1.payment_intents.retrieve(intent))
        except stripe.StripeError as error:  # also for an unknown intent: it may be in another account
            raise GatewayUnknown(str(error)) from error

    def cancel(self, *, key: str, intent: str) -> None:
        try:
            self._client.v1.payment_intents.cancel(intent, options={"idempotency_key": key})
        except stripe.InvalidRequestError:
            return  # it is too late to cancel; `retrieve` returns the state
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error

    def refund(self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int) -> Refunded:
        try:
            amount = to_stripe(amount_minor, currency)
        except NotAtStripe as error:
            return Refunded(outcome=RefundOutcome.FAILED, error=str(error))
        params: Any = {
            "payment_intent": intent,
            "amount": amount,
            "metadata": {REFUND: str(refund_id), KEY: key},
        }
        try:
            made = self._client.v1.refunds.create(params, options={"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            return Refunded(outcome=RefundOutcome.FAILED, error=str(error.user_message or error))
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error
        return _refunded(made)

    def refund_retrieve(self, *, reference: str) -> Refunded:
        try:
            return _refunded(self._client.v1.refunds.retrieve(reference))
        except stripe.StripeError as error:  # also for an unknown refund: it may be in another account
            raise GatewayUnknown(str(error)) from error

    def refund_find(
        self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int
    ) -> Refunded | None:
        # One page is enough. It has the newest refunds, and a payment has only one refund in flight at a time.
        params: Any = {"payment_intent": intent, "limit": PAGE}
        try:
            listed = self._client.v1.refunds.list(params).data
        except stripe.StripeError as error:  # also for an unknown intent: it may be in another account
            raise GatewayUnknown(str(error)) from error
        for each in listed:
            if _metadata(each).get(KEY) == key:
                return _refunded(each)
        for each in listed:
            if _is_of_earlier_version(each, refund_id, amount_minor, currency):
                return _refunded(each)
        return None

    def refunds_failed(self, *, since: datetime) -> Iterator[ListedRefund]:
        params: Any = {"limit": PAGE, "created": {"gte": int(since.timestamp())}}
        try:
            for refund in self._client.v1.refunds.list(params).auto_paging_iter():
                if _refunded(refund).outcome == RefundOutcome.FAILED and refund.payment_intent:
                    yield ListedRefund(intent=str(refund.payment_intent), reference=refund.id)
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error

    def charges(self, *, since: datetime) -> Iterator[ListedCharge]:
        params: Any = {"limit": PAGE, "expand": ["data.latest_charge"]}
        try:
            for intent in self._client.v1.payment_intents.list(params).auto_paging_iter():  # the newest first
                charge = intent.latest_charge
                if intent.created < since.timestamp():
                    return
                payment_id = _our_payment(intent)
                if intent.status == "succeeded" and charge is not None and payment_id is not None:
                    yield _listed(intent, charge, payment_id)
        except stripe.StripeError as error:
            raise GatewayUnknown(str(error)) from error

    def parse_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> News:
        event = _verified(body, headers.get("Stripe-Signature", ""))
        about = event["data"]["object"]
        intent = about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent")
        return News(
            event_id=str(event["id"]),
            intent=intent if isinstance(intent, str) else None,
            refund=str(about["id"]) if about.get("object") == "refund" else None,
        )


def _verified(body: bytes, signature: str) -> dict[str, Any]:
    """Return the event of a message; raise ForgedWebhook if no active secret signed it."""
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            event = stripe.Webhook.construct_event(body, signature, secret)  # type: ignore[no-untyped-call]
        except (ValueError, stripe.SignatureVerificationError):
            continue
        plain: dict[str, Any] = event.to_dict()
        return plain
    raise ForgedWebhook


def _charge(intent: Any) -> Charge:
    outcome = OUTCOMES.get(intent.status, Outcome.PENDING)
    action = None
    if outcome == Outcome.REQUIRES_ACTION:
        action = {"type": "stripe", "client_secret": intent.client_secret}
    currency = intent.currency.upper()
    charged_minor = from_stripe(intent.amount, currency) if outcome == Outcome.SUCCEEDED else None
    return Charge(outcome=outcome, charged_minor=charged_minor, currency=currency, action=action)


def _refunded(refund: Any) -> Refunded:
    outcome = REFUND_OUTCOMES.get(refund.status or "", RefundOutcome.PENDING)
    return Refunded(outcome=outcome, reference=refund.id, error=getattr(refund, "failure_reason", None) or "")


def _is_of_earlier_version(refund: Any, refund_id: int, amount_minor: int, currency: str) -> bool:
    """Return whether an earlier version of this program made a refund for our row `refund_id`, and it did not fail.

    The earlier version wrote no key, so it is not known which try made the refund. A failed refund may belong to an
    earlier try, so it does not count.
    """
    return (
        _metadata(refund) == {REFUND: str(refund_id)}
        and from_stripe(refund.amount, currency) == amount_minor
        and _refunded(refund).outcome != RefundOutcome.FAILED
    )


def _metadata(made: Any) -> dict[str, str]:
    return dict(made.metadata.to_dict()) if made.metadata else {}


def _our_payment(intent: Any) -> int | None:
    """Return the id of the payment for which an intent was made, or None if another shop made it.

    Intents of earlier versions do not name the shop, and count as ours.
    """
    metadata = _metadata(intent)
    number = metadata.get(PAYMENT, "")
    if not number.lstrip("-").isdecimal() or metadata.get(SHOP, settings.BASE_URL) != settings.BASE_URL:
        return None
    return int(number)


def _listed(intent: Any, charge: Any, payment_id: int) -> ListedCharge:
    currency = intent.currency.upper()
    return ListedCharge(
        intent=intent.id,
        payment_id=payment_id,
        charged_minor=from_stripe(intent.amount, currency),
        refunded_minor=from_stripe(charge.amount_refunded, currency),
        currency=currency,
        created=datetime.fromtimestamp(intent.created, tz=UTC),
    )
