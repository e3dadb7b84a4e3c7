"""A gateway for tests and trials. It moves no money, and otherwise behaves like a real gateway.

The token chooses the outcome of a payment. The rules for keys are those of Stripe. The first answer to a key is
stored and repeated, even if it was a 500. The same key with another body is an error. A call is refused while
another call with its key has no answer.

Tests use the setting `SANDBOX_FAULTS`. It makes an operation lose its request before anything is done ("before"),
lose its answer afterwards ("after"), or answer 500 ("500").
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from django.conf import settings
from django.utils.crypto import salted_hmac

from checkout.gateways import ledger
from checkout.gateways.ledger import Answer
from checkout.gateways.protocol import ForgedWebhook, GatewayUnknown, ListedCharge, ListedRefund, News
from checkout.rules import Charge, Outcome, Refunded, RefundOutcome

# Tokens that stand for test cards. With any other token the payment succeeds.
CARD_ERROR, PAYMENT_ERROR, SLOW = "card_error", "payment_error", "slow"
TIMEOUT_CHARGED, TIMEOUT_UNCHARGED = "timeout_charged", "timeout_uncharged"

OUTCOMES = {CARD_ERROR: Outcome.DECLINED, PAYMENT_ERROR: Outcome.FAILED}
SLOW_SECONDS = 8.0
SIGNATURE = "Sandbox-Signature"
TOLERANCE = 300  # seconds that a signature is valid


class SandboxGateway:
    """Implement `gateways.Gateway` on the ledger."""

    def create_intent(
        self, *, key: str, amount_minor: int, currency: str, payment_id: int, token: str
    ) -> str:
        _take_time()

        def create(book: ledger.Ledger) -> Answer:
            made = book.intent_create(
                amount_minor=amount_minor, currency=currency, payment=payment_id, token=token
            )
            return {"intent": made}

        body = {"amount": amount_minor, "currency": currency, "payment": payment_id, "token": token}
        return str(_answer("create_intent", key, body, create)["intent"])

    def confirm(self, *, key: str, intent: str) -> Charge:
        _take_time()
        token = _intent(intent)["token"]
        if token == SLOW:
            time.sleep(SLOW_SECONDS)
        if token == TIMEOUT_UNCHARGED:
            raise GatewayUnknown("the sandbox did not answer, and did not charge")

        def charge(book: ledger.Ledger) -> Answer:
            book.intent_conclude(intent, OUTCOMES.get(token, Outcome.SUCCEEDED))
            return {}

        _answer("confirm", key, {"intent": intent}, charge)
        if token == TIMEOUT_CHARGED:
            raise GatewayUnknown("the sandbox did not answer, but it charged")
        return _charge(intent)

    def retrieve(self, *, intent: str) -> Charge:
        _take_time()
        return _charge(intent)

    def cancel(self, *, key: str, intent: str) -> None:
        _take_time()

        def cancel(book: ledger.Ledger) -> Answer:
            book.intent_conclude(intent, Outcome.CANCELLED)
            return {}

        _answer("cancel", key, {"intent": intent}, cancel)

    def refund(self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int) -> Refunded:
        _take_time()

        def refund(book: ledger.Ledger) -> Answer:
            made = book.refund_create(key=key, intent=intent, amount_minor=amount_minor, refund=refund_id)
            return {"refund": made}

        body = {"intent": intent, "amount": amount_minor, "refund": refund_id}
        reference = _answer("refund", key, body, refund)["refund"]
        return Refunded(
            outcome=RefundOutcome.SUCCEEDED if reference else RefundOutcome.FAILED, reference=reference or ""
        )

    def refund_retrieve(self, *, reference: str) -> Refunded:
        _take_time()
        with ledger.opened(to_read=True) as book:
            found = book.refund(reference)
        if found is None:
            raise GatewayUnknown(f"the sandbox does not know {reference}")
        return Refunded(outcome=RefundOutcome.SUCCEEDED, reference=found)

    def refund_find(
        self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int
    ) -> Refunded | None:
        _take_time()
        with ledger.opened(to_read=True) as book:
            found = book.refund_find(key=key, intent=intent)
        return Refunded(outcome=RefundOutcome.SUCCEEDED, reference=found) if found else None

    def refunds_failed(self, *, since: datetime) -> Iterator[ListedRefund]:
        return iter(())  # here a refund that has succeeded never fails

    def charges(self, *, since: datetime) -> Iterator[ListedCharge]:
        with ledger.opened() as book:
            listed = book.charges(since=since)
        return (ListedCharge(**charge) for charge in listed)

    def parse_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> News:
        try:
            at, _, given = headers[SIGNATURE].partition(".")
            fresh = abs(time.time() - int(at)) <= TOLERANCE
            if not fresh or not hmac.compare_digest(given, _signature(at, body)):
                raise ForgedWebhook
            event = json.loads(body)
            return News(event_id=str(event["id"]), intent=str(event["intent"]))
        except (KeyError, TypeError, ValueError):
            raise ForgedWebhook from None


def signed_news(event: Mapping[str, object], *, at: float | None = None) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of the sandbox's message about an event (a row of `sandbox.events`).

    `at` is the time of the signature in seconds since 1970; None: now.
    """
    body = json.dumps(event).encode()
    stamp = str(int(time.time() if at is None else at))
    return body, {SIGNATURE: f"{stamp}.{_signature(stamp, body)}"}


def _signature(at: str, body: bytes) -> str:
    secret = salted_hmac("checkout.gateways.sandbox", "webhooks").digest()
    return hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()


def _answer(operation: str, key: str, body: Answer, work: Callable[[ledger.Ledger], Answer]) -> Answer:
    """Do the work of a key once, and return its answer at each call.

    Raise GatewayUnknown if a fault is set, or if another call with the key has no answer yet; KeyReused if the key
    was used with another body.
    """
    _lose(operation, "before")
    failing = settings.SANDBOX_FAULTS.get(operation) == "500"
    try:
        with ledger.opened() as book:
            answer = book.once(key, body, (lambda _: {"status": 500}) if failing else work)
    except ledger.InProgress as conflict:
        raise GatewayUnknown(str(conflict)) from conflict
    _lose(operation, "after")
    if answer.get("status") == 500:
        raise GatewayUnknown("the sandbox answered 500")
    return answer


def _lose(operation: str, moment: str) -> None:
    if settings.SANDBOX_FAULTS.get(operation) == moment:
        raise GatewayUnknown(f"{operation} was lost {moment} it was done")


def _take_time() -> None:
    """Wait as long as a real gateway takes to answer, if the settings ask for it."""
    if settings.SANDBOX_SECONDS:
        time.sleep(settings.SANDBOX_SECONDS)


def _charge(intent: str) -> Charge:
    _lose("retrieve", "before")
    found = _intent(intent)
    charged_minor = found["amount"] if found["outcome"] == Outcome.SUCCEEDED else None
    return Charge(outcome=Outcome(found["outcome"]), charged_minor=charged_minor, currency=found["currency"])


def _intent(intent: str) -> Answer:
    with ledger.opened(to_read=True) as book:
        found = book.intent(intent)
    if found is None:
        raise GatewayUnknown(f"the sandbox does not know {intent}")
    return found
