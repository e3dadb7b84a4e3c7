"""A gateway to try things on: no money, but a gateway's manners, and a test token for every outcome.

It keeps Stripe's rules for keys: the first answer to a key is kept and given again, another body with the same
key is an error, and a key that is being worked on conflicts.
"""

import time
from collections.abc import Callable

from checkout.gateways import GatewayUnknown, ledger
from checkout.gateways.ledger import Answer
from checkout.rules import Charge

SLOW_SECONDS = 8.0

# What a buyer may type instead of a card. Any other text is charged.
CARD_ERROR, PAYMENT_ERROR, SLOW = "card_error", "payment_error", "slow"
TIMEOUT_CHARGED, TIMEOUT_UNCHARGED = "timeout_charged", "timeout_uncharged"

DECLINED = Charge(outcome="declined")
FAILED = Charge(outcome="failed")
SUCCEEDED = Charge(outcome="succeeded")


class SandboxGateway:
    """Implements `gateways.Gateway` on its own ledger."""

    def create_intent(self, *, key: str, amount: int, currency: str, payment_id: int) -> str:
        def create(book: ledger.Ledger) -> Answer:
            return {"intent": book.intent_create(amount=amount, currency=currency, payment=payment_id)}

        body = {"amount": amount, "currency": currency, "payment": payment_id}
        return str(_answer(key, body, create)["intent"])

    def confirm(self, *, key: str, intent: str, token: str) -> Charge:
        if token == SLOW:
            time.sleep(SLOW_SECONDS)
        if token == TIMEOUT_UNCHARGED:
            raise GatewayUnknown("the sandbox did not answer, and did not charge")

        def charge(book: ledger.Ledger) -> Answer:
            outcome = {CARD_ERROR: "declined", PAYMENT_ERROR: "failed"}.get(token, "succeeded")
            book.intent_conclude(intent, outcome)
            return {"outcome": outcome}

        answer = _answer(key, {"intent": intent, "token": token}, charge)
        if token == TIMEOUT_CHARGED:
            raise GatewayUnknown("the sandbox did not answer, but it charged")
        return _charge(answer["outcome"])

    def retrieve(self, *, intent: str) -> Charge | None:
        with ledger.opened() as book:
            outcome = book.intent_outcome(intent)
        return None if outcome is None else _charge(outcome)


def _answer(key: str, body: Answer, work: Callable[[ledger.Ledger], Answer]) -> Answer:
    """Will do the work of a key once, and give its first answer ever after."""
    try:
        with ledger.opened() as book:
            return book.once(key, body, work)
    except ledger.InProgress as conflict:
        raise GatewayUnknown(str(conflict)) from conflict


def _charge(outcome: object) -> Charge:
    return {"succeeded": SUCCEEDED, "declined": DECLINED, "failed": FAILED}[str(outcome)]
