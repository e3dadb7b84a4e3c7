"""Work on a payment in flight: ask the gateway, charge, cancel, settle.

`payment_process` runs in the threads of the payments worker, `look_after` in the upkeep worker. A process may die
after any step, and any step can be repeated.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from django.db import Error as DatabaseError
from django.db.models import Model

from checkout import gateways, operations, rules, selectors
from checkout.gateways import CALL_SECONDS, Gateway, GatewayRefused, GatewayUnknown, protocol
from checkout.models import CancelledOrder, Incident, Payment, Receipt, Refund, RefundNotice
from checkout.rules import Charge, Outcome, PaymentStatus, Step
from checkout.services import late_payments
from overlord.kernel import db
from overlord.kernel.queues import Queue, enqueue, queue_length
from tickets.admission.models import HandOverNotice, HolderNotice
from tickets.models import MoveNotice

logger = logging.getLogger(__name__)
Found = TypeVar("Found")

MAILS: tuple[type[Model], ...] = (
    Receipt,
    RefundNotice,
    MoveNotice,
    HandOverNotice,
    CancelledOrder,
    HolderNotice,
)
TASKS: dict[type[Model], tuple[str, str]] = {
    Payment: ("checkout.payment_process", "payment_id"),
    Refund: ("checkout.refund_process", "refund_id"),
}
LOOKED_AFTER: dict[type[Model], int] = {Payment: 500, Refund: 500}  # how many of each kind at once
LOOKED_AFTER |= dict.fromkeys(MAILS, 1)  # one is enough to know that mails are due
MAIL_QUEUE_MOST = 100  # messages; a queue of this length gets no more, because each message sends many mails
MESSAGE_EXPIRES = 4.0  # seconds; an older message is not needed, because `look_after` runs every two seconds


def payment_process(*, payment_id: int) -> None:
    """Bring a payment to its outcome, or leave it in doubt: beat hands it to a worker again later.

    A repetition is safe, and so are two runs at the same time: only one worker gets the lease, and the gateway
    recognises a repeated call by its key.
    """
    payment = operations.payment_take(payment_id=payment_id)
    if payment is None:
        return
    if payment.attempts >= rules.STUCK_ATTEMPTS:
        _tell_staff(payment)
    try:
        known = _progress(_Attempt(payment, gateways.named(payment.gateway)))
    except GatewayRefused as refused:
        logger.warning("Payment %s was refused: %s", payment_id, refused)
        known = Charge(outcome=Outcome.FAILED)
    except GatewayUnknown as doubt:
        logger.warning("Payment %s is in doubt: %s", payment_id, doubt)
        known = _in_doubt(payment)
    except DatabaseError:
        raise
    except Exception:  # in doubt too: the hold stays protected until the cap
        logger.exception("The gateway %s failed at payment %s.", payment.gateway, payment_id)
        known = _in_doubt(payment)
    if known.is_final:
        _settle(payment, known)
    else:
        _leave(payment, known)


def _in_doubt(payment: Payment) -> Charge:
    """Return what is known if the gateway does not answer: no outcome, and the buyer's next step as before."""
    return Charge(outcome=Outcome.PENDING, action=payment.requires_action)


def _tell_staff(payment: Payment) -> None:
    detail = f"{payment.attempts} attempts"
    with db.transaction():
        operations.incident_open(payment=payment, cause=Incident.Cause.STUCK, now=db.now(), detail=detail)


@dataclass(frozen=True)
class _Attempt:
    """One worker's work on a payment at its gateway, for as long as the lease lasts."""

    payment: Payment
    gateway: Gateway
    began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> datetime:
        """Return when the payment was taken, by the database's clock."""
        return cast("datetime", self.payment.lease_until) - rules.LEASE

    def ask(self, call: Callable[..., Found], **arguments: Any) -> Found:
        """Call the gateway, while this thread holds no transaction and no connection.

        Raise GatewayUnknown without a call if the call could end after the lease, because only the lease keeps
        other workers from calling.
        """
        if time.monotonic() - self.began + CALL_SECONDS > rules.LEASE.total_seconds():
            raise GatewayUnknown("the gateway takes so long that the rest has to wait for another attempt")
        db.connection_release()
        return call(**arguments)

    def key(self, operation: str) -> str:
        payment = self.payment
        return protocol.gateway_key(
            operation, of=payment.pk, try_number=payment.try_number, nonce=payment.gateway_nonce
        )


def _progress(attempt: _Attempt) -> Charge:
    """Do the next step at the gateway, and return the gateway's answer about the intent.

    Raise GatewayUnknown or GatewayRefused.
    """
    payment, gateway, now = attempt.payment, attempt.gateway, attempt.now
    deadline = payment.deadline or now
    if payment.gateway_reference:
        known = attempt.ask(gateway.retrieve, intent=payment.gateway_reference)
        step = rules.next_step(known, attempts=payment.attempts, deadline=deadline, now=now)
    elif now >= deadline:
        return Charge(outcome=Outcome.CANCELLED)  # an intent whose name we never learnt was never confirmed
    else:
        # A late attempt confirms too, because the earlier ones learnt no name and so confirmed nothing.
        known, step = Charge(outcome=Outcome.UNCONFIRMED), Step.CONFIRM
        _create_intent(attempt)
    if payment.status == PaymentStatus.ABANDONED:
        return _withdraw(attempt, known)
    if step == Step.CONFIRM:
        return attempt.ask(gateway.confirm, key=attempt.key("confirm"), intent=payment.gateway_reference)
    if step == Step.CANCEL:
        return _withdraw(attempt, known)
    return known


def _withdraw(attempt: _Attempt, known: Charge) -> Charge:
    """Return `known` if it is final. Otherwise cancel the intent, and return the gateway's answer after that."""
    if known.is_final:
        return known
    intent = attempt.payment.gateway_reference
    attempt.ask(attempt.gateway.cancel, key=attempt.key("cancel"), intent=intent)
    return attempt.ask(attempt.gateway.retrieve, intent=intent)


def _create_intent(attempt: _Attempt) -> None:
    payment = attempt.payment
    reference = attempt.ask(
        attempt.gateway.create_intent,
        key=attempt.key("create"),
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payment_id=payment.pk,
        token=payment.gateway_token,
    )
    operations.payment_remember_intent(payment=payment, reference=reference)


def _settle(taken: Payment, known: Charge) -> None:
    """Apply a gateway's final answer to the try to which it belongs, unless it was applied already."""
    with db.transaction():
        payment, order, now = operations.payment_order_lock(payment_id=taken.pk)
        if not operations.is_open_to_news(payment=payment, taken=taken):
            return
        if known.outcome == Outcome.SUCCEEDED and (known.charged_minor, known.currency) != (
            payment.amount_minor,
            payment.currency,
        ):
            _refuse_to_settle(payment, known)
        elif payment.status == PaymentStatus.ABANDONED:
            late_payments.settle_late(payment=payment, known=known)
        else:
            reservations = rules.tried_last(order)
            if known.outcome == Outcome.SUCCEEDED:
                operations.payment_succeed(payment=payment, reservations=reservations, now=now)
            else:
                operations.payment_fail(
                    payment=payment, reservations=reservations, outcome=known.outcome, now=now
                )


def _refuse_to_settle(payment: Payment, known: Charge) -> None:
    """Tell staff that the gateway charged another amount, and settle nothing.

    The payment protects its holds until the cap.
    """
    detail = (
        f"charged {known.charged_minor} {known.currency}, asked {payment.amount_minor} {payment.currency}"
    )
    now = db.now()
    operations.incident_open(payment=payment, cause=Incident.Cause.WRONG_AMOUNT, now=now, detail=detail)
    _wait(payment, until=now + rules.LATE_LOOK, now=now)


def _leave(taken: Payment, known: Charge) -> None:
    """Reschedule a payment without an outcome, or abandon it at the cap."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=taken.pk)
        now = db.now()
        if not operations.is_open_to_news(payment=payment, taken=taken):
            return
        wait = rules.look_again_after(payment.attempts)
        if _wait(payment, until=now + wait, now=now, action=known.action):
            operations.incident_open(payment=payment, cause=Incident.Cause.GATEWAY_SILENT, now=now)


def _wait(payment: Payment, *, until: datetime, now: datetime, action: dict[str, Any] | None = None) -> bool:
    """Let a locked payment without an outcome wait, or abandon it at the cap; return whether it was abandoned."""
    deadline = payment.deadline or now
    if payment.status == PaymentStatus.ABANDONED:
        operations.payment_reschedule(payment=payment, until=rules.late_look_at(deadline=deadline, now=now))
    elif rules.is_abandoned(deadline=deadline, now=now):
        reservations, now = operations.reservations_lock(payment=payment)
        operations.payment_abandon(payment=payment, reservations=reservations, now=now)
        return True
    else:
        operations.payment_reschedule(payment=payment, until=until, action=action)
    return False


def look_after() -> int:
    """Let workers take what is due: payments, refunds and mails. Return how many payments and refunds are enqueued.

    A row is due because a message or a worker was lost, or because the time of its next look has come. While no
    worker takes messages, there are never more waiting messages than due rows.
    """
    found = selectors.to_look_after(LOOKED_AFTER, now=db.now())
    due = [(task, {name: pk}) for model, (task, name) in TASKS.items() for pk in found[model]]
    room = max(0, len(due) - queue_length(Queue.PAYMENTS))
    for task, row in due[:room]:
        enqueue(task, expires=MESSAGE_EXPIRES, **row)
    if any(found[model] for model in MAILS) and queue_length(Queue.MAIL) < MAIL_QUEUE_MOST:
        enqueue("checkout.receipts_send", expires=MESSAGE_EXPIRES)
    return room
