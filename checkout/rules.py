"""The steps of payments and refunds, their deadlines and retries: decisions on plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Any, Protocol, TypeVar

from overlord.kernel import texts
from overlord.kernel.errors import Conflict, Gone, Invalid, Outdated
from tickets.rules import OverLimit, PaymentInProgress, ReservationState, tried_last

__all__ = ["OverLimit", "PaymentInProgress", "ReservationState", "tried_last"]


class PaymentStatus(StrEnum):
    """The status of a payment. docs/payments.md draws the transitions."""

    NOT_STARTED = "NOT_STARTED"
    PENDING = "PENDING"  # accepted; no gateway has been asked yet
    PROCESSING = "PROCESSING"  # asked, or in doubt
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    ABANDONED = "ABANDONED"  # the gateway is silent; the hold is no longer protected
    REFUNDING = "REFUNDING"  # the money came late and goes back
    REFUNDED = "REFUNDED"


class ShownStatus(StrEnum):
    """A payment's status as clients see it."""

    NOT_STARTED = "NOT_STARTED"
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REFUNDED = "REFUNDED"


class RefundStatus(StrEnum):
    """The status of a refund."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class Outcome(StrEnum):
    """The state of an intent at the gateway. Only those in `FINAL_OUTCOMES` never change."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"  # nobody is charged until it is confirmed
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"


class RefundOutcome(StrEnum):
    """The state of a refund at the gateway."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


class Step(StrEnum):
    """The next step of a worker with a payment."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    WAIT = "wait"
    SETTLE = "settle"


COUNTER = "counter"  # used instead of a gateway for sales at the counter, for cash or free
IN_FLIGHT = (PaymentStatus.PENDING, PaymentStatus.PROCESSING)
CHARGED = (PaymentStatus.SUCCESS, PaymentStatus.REFUNDING, PaymentStatus.REFUNDED)
REFUND_IN_FLIGHT = (RefundStatus.PENDING, RefundStatus.PROCESSING)
FINAL_OUTCOMES = (Outcome.SUCCEEDED, Outcome.DECLINED, Outcome.FAILED, Outcome.CANCELLED)

# The transitions that exist. Any other transition is a bug of ours and raises StateChanged.
PAYMENT_TRANSITIONS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    # SUCCESS at once if the order costs nothing, or was sold at the counter.
    PaymentStatus.NOT_STARTED: frozenset({PaymentStatus.PENDING, PaymentStatus.SUCCESS}),
    PaymentStatus.PENDING: frozenset({PaymentStatus.PROCESSING}),
    PaymentStatus.PROCESSING: frozenset(
        {PaymentStatus.SUCCESS, PaymentStatus.FAILURE, PaymentStatus.ABANDONED}
    ),
    # The buyer tries again. SUCCESS at once if what is left of the order costs nothing.
    PaymentStatus.FAILURE: frozenset({PaymentStatus.PENDING, PaymentStatus.SUCCESS}),
    # The gateway answers late. SUCCESS: it charged, and enough tickets are left. REFUNDING: it charged, and too few
    # are left. FAILURE: it did not charge.
    PaymentStatus.ABANDONED: frozenset(
        {PaymentStatus.SUCCESS, PaymentStatus.REFUNDING, PaymentStatus.FAILURE}
    ),
    PaymentStatus.SUCCESS: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.REFUNDING: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.REFUNDED: frozenset(),
}
REFUND_TRANSITIONS: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.PENDING: frozenset({RefundStatus.PROCESSING}),
    RefundStatus.PROCESSING: frozenset({RefundStatus.SUCCESS, RefundStatus.FAILURE}),
    # Staff try again, or record that the money went back elsewhere.
    RefundStatus.FAILURE: frozenset({RefundStatus.PENDING, RefundStatus.SUCCESS}),
    RefundStatus.SUCCESS: frozenset({RefundStatus.FAILURE}),  # the bank did not take the money
}

LEASE = timedelta(seconds=30)  # one worker's exclusive time
RESUME_AFTER = timedelta(seconds=2)  # a message that no worker has taken by then counts as lost
DEADLINE = timedelta(minutes=10)  # after the press of Pay; then the gateway is asked to cancel
CAP = timedelta(minutes=20)  # after the deadline; then the hold is no longer protected
CONFIRM_ATTEMPTS = 2  # in the first attempts an unconfirmed intent is confirmed, later it is cancelled
LATE_LOOK = timedelta(minutes=5)  # between two looks at an abandoned payment
LATE_FOR = timedelta(days=3)  # how long workers look at an abandoned payment; gateways deliver no news later
KEY_KEPT = timedelta(hours=12)  # a gateway knows a key for at least this time, and may forget it after a day
STUCK_ATTEMPTS = 30  # after so many attempts, staff are told
TOKEN_LENGTH = 200


class AlreadyPaid(Conflict):
    code = "already_paid"
    sentence = "This order has already been paid for."


class EmailRequired(Invalid):
    code = "email_required"
    sentence = "Enter an e-mail address. We send the tickets to this address."


class PaymentStarted(Conflict):
    code = "payment_started"
    sentence = "Only a payment that has not started or has failed can be removed."


class ReservationExpired(Gone):
    code = "reservation_expired"
    sentence = "The reservation has expired, and its tickets are back on sale."


class NotRefundable(Conflict):
    code = "not_refundable"
    sentence = "Only a successful payment can be refunded."


class RefundInProgress(Conflict):
    code = "refund_in_progress"
    sentence = "A refund of this payment is in progress. Wait until it is complete."


class RefundTooLarge(Conflict):
    code = "refund_too_large"
    sentence = "This is more than the amount that can still be refunded. Enter a smaller amount."


class NotReturnable(Conflict):
    code = "not_returnable"
    sentence = "Only tickets that are sold can be put back on sale."


class RefundFirst(Conflict):
    code = "refund_first"
    sentence = "Refund the whole payment first. Then its tickets can be put back on sale."


class RefundOutdated(Outdated):
    sentence = (
        "Nothing was refunded, because this payment has changed since you last saw it. Check the"
        " payment again."
    )


class InvalidToken(Invalid):
    code = "invalid"
    sentence = f"A token must have 1 to {TOKEN_LENGTH} printable characters."


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A gateway's answer about an intent. `charged_minor` is None if nobody was charged."""

    outcome: Outcome
    charged_minor: int | None = None
    currency: str | None = None
    action: dict[str, Any] | None = None  # what the buyer's browser must do next

    @property
    def is_final(self) -> bool:
        return self.outcome in FINAL_OUTCOMES


@dataclass(frozen=True, kw_only=True)
class Refunded:
    """A gateway's answer about a refund, and the gateway's name for the refund."""

    outcome: RefundOutcome
    reference: str = ""
    error: str = ""  # the gateway's reason, if it refused the refund


# The sentences that a buyer reads when a payment did not succeed. They are stored with the payment, and translated
# when a page shows them. So do not change their words: the sentences of older payments would not be translated.
OUTCOME_SENTENCES: dict[Outcome, str] = {
    Outcome.DECLINED: "Your card was declined. You were not charged. Try again or use another card.",
    Outcome.FAILED: "The payment service could not take the payment. You were not charged. Please try again.",
    Outcome.CANCELLED: "The payment was not confirmed in time and was cancelled. You were not charged.",
}
ABANDONED_SENTENCE = (
    "The payment service does not answer. If it charges you later, you get your tickets if enough are left,"
    " and otherwise your money back."
)
UNANSWERED_SENTENCE = "The payment service has not answered yet. This payment may still be charged."
LATE_SENTENCE = "Your payment arrived when too few tickets were left. The whole amount is being refunded."
REFUNDED_SENTENCE = "The whole amount was refunded."
ERRORS = (*OUTCOME_SENTENCES.values(), ABANDONED_SENTENCE, LATE_SENTENCE, REFUNDED_SENTENCE)


def shown_status(status: PaymentStatus | str) -> ShownStatus:
    """Return a payment's status as clients see it."""
    shown = {PaymentStatus.ABANDONED: ShownStatus.FAILURE, PaymentStatus.REFUNDING: ShownStatus.PROCESSING}
    return shown.get(PaymentStatus(status)) or ShownStatus(status)


def check_may_pay(status: PaymentStatus | str) -> None:
    """Raise PaymentInProgress if a payment is in flight or its late money goes back, AlreadyPaid if it was paid."""
    if status in (*IN_FLIGHT, PaymentStatus.REFUNDING):
        raise PaymentInProgress()
    if status in (PaymentStatus.SUCCESS, PaymentStatus.REFUNDED):
        raise AlreadyPaid()


def check_answered(status: PaymentStatus | str) -> None:
    """Raise PaymentInProgress for an abandoned payment: a late charge and a new try would both charge the buyer."""
    if status == PaymentStatus.ABANDONED:
        raise PaymentInProgress(UNANSWERED_SENTENCE)


def check_removable(status: PaymentStatus | str) -> None:
    """Raise PaymentStarted if a payment in `status` has charged somebody, or may still do so."""
    if status == PaymentStatus.ABANDONED:
        raise PaymentStarted(UNANSWERED_SENTENCE)
    if status not in (PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE):
        raise PaymentStarted()


@dataclass(frozen=True, kw_only=True)
class Contact:
    """The address for a guest's tickets, and the guest's name. None means not given: the earlier value stays."""

    email: str | None = None
    name: str | None = None


def contact(*, email: str | None, name: str | None) -> Contact | None:
    """Return the contact that a buyer gave, or None if neither part was given; raise Invalid for a bad name.

    An empty address counts as not given. An empty name removes the earlier name.
    """
    given = Contact(email=email or None, name=None if name is None else _name_read(name))
    return given if given != Contact() else None


def _name_read(name: str) -> str:
    try:
        return texts.one_line(name, most=texts.PERSON_NAME_LENGTH) if name.strip() else ""
    except ValueError as error:
        raise Invalid(errors={"name": [str(error)]}) from None


def check_token(token: str) -> None:
    """Raise InvalidToken unless a gateway could have made this token."""
    if not 0 < len(token) <= TOKEN_LENGTH or not token.isprintable():
        raise InvalidToken(errors={"token": [InvalidToken.sentence]})


def refund_amount(
    *, status: PaymentStatus | str, left_minor: int, asked_minor: int | None, return_tickets: bool
) -> int:
    """Return how much to refund: `asked_minor`, or all that is left if `asked_minor` is None.

    Raise NotRefundable or RefundTooLarge; Invalid for 0, or if tickets would go back on sale while money is left.
    """
    if status not in (PaymentStatus.SUCCESS, PaymentStatus.REFUNDED):
        raise NotRefundable()
    if left_minor <= 0:
        sentence = "There is nothing left to refund."
        raise NotRefundable(sentence)
    amount_minor = left_minor if asked_minor is None else asked_minor
    if amount_minor > left_minor:
        raise RefundTooLarge()
    if amount_minor <= 0:
        sentence = "Enter an amount above zero."
        raise Invalid(sentence, errors={"amount": [sentence]})
    if return_tickets and amount_minor != left_minor:
        sentence = "Tickets can be put back on sale only if you refund the full remaining amount."
        raise Invalid(sentence, errors={"return_tickets": [sentence]})
    return amount_minor


def check_seen(seen: int | None, version: int) -> None:
    """Raise RefundOutdated if staff saw another version of a payment. `seen` is None if they did not say which."""
    if seen not in (None, version):
        raise RefundOutdated(version=version)


def check_returnable(
    *, state: ReservationState | str, total_minor: int, payment_status: PaymentStatus | str | None
) -> None:
    """Raise an error unless the tickets of a reservation can go back on sale without moving money.

    The error is NotReturnable if the reservation is not validated, RefundFirst if it was paid for and not refunded.
    """
    if state != ReservationState.VALIDATED:
        raise NotReturnable(state=str(state))
    if total_minor > 0 and payment_status != PaymentStatus.REFUNDED:
        raise RefundFirst()


def is_returned(*, state: ReservationState | str, was_validated: bool) -> bool:
    """Return whether the tickets of a reservation that was validated are back on sale."""
    return state == ReservationState.RELEASED and was_validated


class OrderedReservation(Protocol):
    """The fields of an order's reservation that a payment needs."""

    @property
    def pk(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def total_minor(self) -> int: ...
    @property
    def paying_since(self) -> datetime | None: ...


AnyReservation = TypeVar("AnyReservation", bound=OrderedReservation)


def reservations_paid_for(
    status: PaymentStatus | str, order: Sequence[AnyReservation]
) -> list[AnyReservation]:
    """Return the reservations of an order that a payment in `status` is for.

    If another try can begin (NOT_STARTED, FAILURE), these are the holds. In any other status, or if there are no
    holds, they are the reservations of the latest try. If there was no try, they are all reservations of the order.
    """
    if status in (PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE):
        held = [each for each in order if each.state == ReservationState.HELD]
        return held or tried_last(order) or list(order)
    return tried_last(order) or list(order)


def refund_shares(totals: Sequence[int], *, before: int, amount: int) -> list[int]:
    """Divide a refund of `amount` among reservations in proportion to what they cost, in whole minor units.

    `before` is how much was refunded earlier. The shares add up to `amount`. When all money is refunded, all shares
    of a reservation add up to its total.
    """
    charged = sum(totals)
    ends = list(accumulate(totals, initial=0))

    def up_to(refunded: int) -> list[int]:
        return [refunded * end // charged for end in ends]

    old, new = up_to(before), up_to(before + amount)
    return [(new[nth + 1] - new[nth]) - (old[nth + 1] - old[nth]) for nth in range(len(totals))]


def next_step(known: Charge, *, attempts: int, deadline: datetime, now: datetime) -> Step:
    """Return the next step for a payment after the gateway's answer `known`, at a worker's `attempts`-th attempt.

    An intent that may still be charged is cancelled at the deadline, or when CONFIRM_ATTEMPTS attempts have not
    confirmed it. After a cancellation the gateway is asked again, and only that answer counts.
    """
    if known.is_final:
        return Step.SETTLE
    if now >= deadline:
        return Step.CANCEL
    if known.outcome == Outcome.UNCONFIRMED:
        return Step.CONFIRM if attempts <= CONFIRM_ATTEMPTS else Step.CANCEL
    return Step.WAIT


def look_again_after(attempts: int) -> timedelta:
    """Return how long to wait before the next attempt: 2 s at first, a minute at most."""
    return timedelta(seconds=min(60, 2 ** min(attempts, 6)))


def late_look_at(*, deadline: datetime, now: datetime) -> datetime | None:
    """Return when to look at an abandoned payment again; None if it is so old that no late answer comes."""
    return now + LATE_LOOK if now < deadline + CAP + LATE_FOR else None


def is_abandoned(*, deadline: datetime, now: datetime) -> bool:
    """Return whether a gateway has been silent for so long that the payment no longer protects its holds."""
    return now >= deadline + CAP
