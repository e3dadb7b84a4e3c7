"""When a payment may start, and what its gateway's answer makes of it: decisions on plain values."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from overlord.kernel.errors import Conflict, Gone, Invalid

LEASE = timedelta(seconds=30)  # one worker's time with the gateway; longer than the gateway's own limits
DEADLINE = timedelta(minutes=30)
RESUME_AFTER = timedelta(seconds=2)  # what nobody took up by then was lost with its message
TOKEN_LENGTH = 200


class AlreadyPaid(Conflict):
    code = "already_paid"
    sentence = "This is paid for already."


class PaymentInProgress(Conflict):
    code = "payment_in_progress"
    sentence = "This payment is in progress: you will not be charged twice."


class PaymentStarted(Conflict):
    code = "payment_started"
    sentence = "Only a payment that has not started, or has failed, can be removed."


class ReservationExpired(Gone):
    code = "reservation_expired"
    sentence = "The time to pay has passed, and the tickets are back on sale. You were not charged."


class InvalidToken(Invalid):
    code = "invalid"
    sentence = "A token has 1 to 200 characters."


Outcome = Literal["succeeded", "declined", "failed"]


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What the gateway made of an intent: for good when it succeeded, failed or was declined."""

    outcome: Outcome
    reason: str = ""


SENTENCES: dict[Outcome, str] = {
    "declined": "Your card was declined. You were not charged; try again or use another card.",
    "failed": "The payment service could not take the payment. You were not charged; please try again.",
}


def check_may_pay(status: str) -> None:
    """Will insist that a payment in `status` can be started; raises what stands against it."""
    if status in ("PENDING", "PROCESSING"):
        raise PaymentInProgress()
    if status in ("SUCCESS", "REFUNDED"):
        raise AlreadyPaid()


def check_removable(status: str) -> None:
    """Will insist that a payment in `status` has charged nobody and will not; raises PaymentStarted."""
    if status not in ("NOT_STARTED", "FAILURE"):
        raise PaymentStarted()


def check_token(token: str) -> None:
    """Will insist on a token a gateway could have made; raises InvalidToken."""
    if not 0 < len(token) <= TOKEN_LENGTH or not token.isprintable():
        raise InvalidToken(errors={"token": [InvalidToken.sentence]})


def gateway_key(operation: str, *, payment_id: int, try_number: int) -> str:
    """Will name an operation at the gateway so that its repetition is recognised: the same try, the same key."""
    return f"{operation}:{payment_id}:{try_number}"


def is_idle(*, lease_until: datetime | None, now: datetime) -> bool:
    """Will say whether no worker has the payment."""
    return lease_until is None or lease_until <= now
