"""When a payment or refund may go on, and what a gateway's answer makes of it: decisions on plain values."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from overlord.kernel.errors import Conflict, Gone, Invalid

# The machines. A transition that is not here is a bug of ours and raises; docs/payments.md draws both.
PAYMENT_TRANSITIONS: dict[str, frozenset[str]] = {
    "NOT_STARTED": frozenset({"PENDING", "SUCCESS"}),  # SUCCESS at once when it costs nothing
    "PENDING": frozenset({"PROCESSING"}),
    "PROCESSING": frozenset({"SUCCESS", "FAILURE", "ABANDONED"}),
    "FAILURE": frozenset({"PENDING"}),  # pressed again
    "ABANDONED": frozenset({"SUCCESS", "REFUNDING", "FAILURE"}),  # late: seated again, paid back, or nothing
    "SUCCESS": frozenset({"REFUNDED"}),
    "REFUNDING": frozenset({"REFUNDED"}),
    "REFUNDED": frozenset(),
}
REFUND_TRANSITIONS: dict[str, frozenset[str]] = {
    "PENDING": frozenset({"PROCESSING"}),
    "PROCESSING": frozenset({"SUCCESS", "FAILURE"}),
    "FAILURE": frozenset({"PENDING"}),  # staff try again
    "SUCCESS": frozenset(),
}
SHOWN_AS = {"ABANDONED": "FAILURE", "REFUNDING": "PROCESSING"}  # clients know six words

LEASE = timedelta(seconds=30)  # one worker's time with the gateway; longer than its task's hard limit
RESUME_AFTER = timedelta(seconds=2)  # what nobody took up by then was lost with its message
DEADLINE = timedelta(minutes=10)  # then the gateway is asked to cancel
CAP = timedelta(
    minutes=20
)  # after the deadline; then a gateway that says nothing protects the hold no longer
CONFIRM_ATTEMPTS = 2  # a confirmation that got lost is repeated once; lost again, the intent is cancelled
LATE_LOOK = timedelta(minutes=5)  # how often an abandoned payment is asked about
LATE_FOR = timedelta(days=3)  # and for how long: as long as gateways deliver late news
POISON_ATTEMPTS = 30
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


class NotRefundable(Conflict):
    code = "not_refundable"
    sentence = "Only a payment that succeeded can be refunded."


class RefundInProgress(Conflict):
    code = "refund_in_progress"
    sentence = "A refund of this payment is in progress: wait for its outcome."


class RefundTooLarge(Conflict):
    code = "refund_too_large"
    sentence = "That is more than is left of what was charged."


class InvalidToken(Invalid):
    code = "invalid"
    sentence = "A token has 1 to 200 characters."


Outcome = Literal["succeeded", "declined", "failed", "cancelled", "unconfirmed", "pending", "requires_action"]


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a gateway says of an intent. The first four outcomes are final; `charged_minor` with the first only."""

    outcome: Outcome
    charged_minor: int | None = None
    currency: str | None = None
    action: dict[str, Any] | None = None  # what the buyer's browser must do next

    @property
    def is_final(self) -> bool:
        return self.outcome in ("succeeded", "declined", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Refunded:
    """What a gateway says of a refund."""

    outcome: Literal["succeeded", "failed", "pending"]
    reference: str = ""


SENTENCES: dict[str, str] = {
    "declined": "Your card was declined. You were not charged; try again or use another card.",
    "failed": "The payment service could not take the payment. You were not charged; please try again.",
    "cancelled": "The payment did not come through in time and was cancelled. You were not charged.",
    "abandoned": "The payment service does not answer. If it charges you after all, you get your tickets if there"
    " are any left, and your money back if not.",
    "late": "Your payment came when the tickets were gone. The whole amount is being paid back.",
    "refunded": "The whole amount was paid back.",
}


def check_may_pay(status: str) -> None:
    """Will insist that a payment in `status` can be started; raises what stands against it."""
    if status in ("PENDING", "PROCESSING", "REFUNDING"):
        raise PaymentInProgress()
    if status in ("SUCCESS", "REFUNDED"):
        raise AlreadyPaid()
    if status == "ABANDONED":
        raise ReservationExpired()


def check_removable(status: str) -> None:
    """Will insist that a payment in `status` has charged nobody and will not; raises PaymentStarted."""
    if status not in ("NOT_STARTED", "FAILURE"):
        raise PaymentStarted()


def check_token(token: str) -> None:
    """Will insist on a token a gateway could have made; raises InvalidToken."""
    if not 0 < len(token) <= TOKEN_LENGTH or not token.isprintable():
        raise InvalidToken(errors={"token": [InvalidToken.sentence]})


def refund_amount(
    *, status: str, charged_minor: int, refunded_minor: int, asked_minor: int | None, return_tickets: bool
) -> int:
    """Will say how much to pay back when staff ask for `asked_minor`, or for the rest.

    Raises NotRefundable, RefundTooLarge, and Invalid: tickets return to sale only with the last of the money.
    """
    if status != "SUCCESS":
        raise NotRefundable()
    left = charged_minor - refunded_minor
    amount_minor = left if asked_minor is None else asked_minor
    if amount_minor > left:
        raise RefundTooLarge()
    if amount_minor <= 0:
        raise NotRefundable("There is nothing left to pay back.")
    if return_tickets and amount_minor != left:
        sentence = "Tickets return to sale with a full refund only."
        raise Invalid(sentence, errors={"return_tickets": [sentence]})
    return amount_minor


def gateway_key(operation: str, *, of: int, try_number: int) -> str:
    """Will name an operation at the gateway so that its repetition is recognised: the same try, the same key."""
    return f"{operation}:{of}:{try_number}"


Step = Literal["confirm", "cancel", "wait", "settle"]


def next_step(known: Charge, *, attempts: int, deadline: datetime, now: datetime) -> Step:
    """Will decide what to do about a payment of which the gateway says `known`, on the `attempts`-th look.

    What may still be charged is cancelled before it is given up: at the deadline, or when its confirmation got
    lost twice. After a cancellation the gateway is read again, and only that counts.
    """
    if known.is_final:
        return "settle"
    if now >= deadline:
        return "cancel"
    if known.outcome == "unconfirmed":
        return "confirm" if attempts <= CONFIRM_ATTEMPTS else "cancel"
    return "wait"


def look_again_after(attempts: int) -> timedelta:
    """Will say how long to leave a payment or refund in doubt alone: 2 s at first, at most a minute."""
    return timedelta(seconds=min(60, 2 ** min(attempts, 6)))


def late_look_at(*, deadline: datetime, now: datetime) -> datetime | None:
    """Will say when to ask about an abandoned payment again; None when no late news can come any more."""
    return now + LATE_LOOK if now < deadline + CAP + LATE_FOR else None


def is_abandoned(*, deadline: datetime, now: datetime) -> bool:
    """Will say whether a gateway has been silent so long that the hold is protected no longer."""
    return now >= deadline + CAP
