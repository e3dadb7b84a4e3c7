"""Refund payments: for staff, for a cancelled event, or because money came late and too few tickets were left.

`refund_process` and `refund_look_again` run in the payments worker.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checkout import gateways, operations, refund_operations, rules, selectors
from checkout.gateways import CALL_SECONDS, GatewayUnknown, protocol
from checkout.models import Incident, Payment, Refund
from checkout.order_rules import OrderAction, note_read
from checkout.rules import PaymentStatus, Refunded, RefundOutcome, RefundStatus
from checkout.services import incidents
from overlord.kernel import db
from overlord.kernel.queues import enqueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RefundAsked:
    """A refund with its payment. `replayed` tells whether an earlier request with the same key started it."""

    payment: Payment
    refund: Refund
    replayed: bool = False


def refund_request(
    *,
    staff_id: int,
    payment_id: int,
    amount_minor: int | None,
    return_tickets: bool,
    version: int | None = None,
    key: str | None = None,
) -> RefundAsked:
    """Start a refund of `amount_minor` of a payment, or of all that is left if `amount_minor` is None.

    A payment at the counter is paid back there, in cash, so its refund is recorded as done. With `return_tickets`,
    the tickets go back on sale when the refund succeeds. `version` is the version of the payment that staff saw, or
    None. `key` is the Idempotency-Key of an API request. If the key has started a refund of this payment before,
    return that refund and do nothing else.

    Raise NotFound, NotRefundable, RefundTooLarge, RefundInProgress or Invalid; RefundOutdated if the payment has
    another version; Mismatch if the key has started a different refund.
    """
    refused = {"refund_one_in_flight_per_payment": rules.RefundInProgress()}
    with db.constraint_errors(refused), db.transaction():
        payment = operations.payment_lock(payment_id=payment_id)
        repeated = refund_operations.refund_repeated(
            payment=payment, key=key, asked_minor=amount_minor, return_tickets=return_tickets
        )
        if repeated is not None:
            return RefundAsked(payment=payment, refund=repeated, replayed=True)
        refund_operations.check_none_in_flight(payment=payment)
        to_refund = rules.refund_amount(
            status=payment.status,
            left_minor=payment.left_minor,
            asked_minor=amount_minor,
            return_tickets=return_tickets,
        )
        rules.check_seen(version, payment.version)
        operations.payment_set_refunded(payment=payment, refunded_minor=payment.refunded_minor + to_refund)
        refund_begin = (
            refund_operations.refund_in_cash
            if payment.gateway == rules.COUNTER
            else refund_operations.refund_open
        )
        refund = refund_begin(
            payment=payment,
            amount_minor=to_refund,
            return_tickets=return_tickets,
            requested_by=staff_id,
            now=db.now(),
            key=key,
            amount_left_out=amount_minor is None,
        )
    return RefundAsked(payment=payment, refund=refund)


def refund_retry(*, staff_id: int, refund_id: int) -> None:
    """Try again a refund that the gateway refused; raise what `_refused_refund_lock` raises."""
    with db.transaction():
        payment, refund = _refused_refund_lock(refund_id)
        now = db.now()
        refund_operations.refund_again(refund=refund, now=now)
        operations.order_record(
            order_id=payment.reservation_id,
            staff_id=staff_id,
            action=OrderAction.RETRY,
            text=f"refund {refund_id}",
            now=now,
        )


def refund_settle_elsewhere(*, staff_id: int, refund_id: int, version: int, note: str) -> None:
    """Record that the money of a refund, which the gateway refused, went back outside of this shop.

    Staff refunded it at the gateway by hand, or the buyer won a dispute. No gateway is asked. `version` is the
    version of the payment that staff saw. `note` says how the money went back. Close the incident, unless another
    refund of the payment is still refused. Raise Invalid for an empty note, and what `_refused_refund_lock` raises.
    """
    text = note_read(note)
    with db.transaction():
        payment, refund = _refused_refund_lock(refund_id, version=version)
        now = db.now()
        refund_operations.refund_paid_elsewhere(payment=payment, refund=refund, now=now)
        operations.order_record(
            order_id=payment.reservation_id,
            staff_id=staff_id,
            action=OrderAction.ELSEWHERE,
            text=text,
            now=now,
        )
        incidents.close_and_record(staff_id=staff_id, ids=_settled_refusals(payment), now=now)


def _refused_refund_lock(refund_id: int, *, version: int | None = None) -> tuple[Payment, Refund]:
    """Lock a refund that the gateway refused, and its payment; return (payment, refund).

    Add the amount of the refund to the refunded amount of a successful payment, as when the refund began.

    Raise NotFound; RefundInProgress if this refund was not refused, or another refund of the payment is in flight;
    NotRefundable if all money has gone back since; RefundTooLarge; RefundOutdated if the payment has another
    version.
    """
    payment, refund = refund_operations.refund_lock(refund_id=refund_id)
    if refund.status != RefundStatus.FAILURE:
        raise rules.RefundInProgress()
    refund_operations.check_none_in_flight(payment=payment)
    rules.check_seen(version, payment.version)
    if not refund_operations.is_owed(payment=payment, refund=refund):
        raise rules.NotRefundable()
    if payment.status == PaymentStatus.SUCCESS:
        if refund.amount_minor > payment.left_minor:
            raise rules.RefundTooLarge()
        operations.payment_set_refunded(
            payment=payment, refunded_minor=payment.refunded_minor + refund.amount_minor
        )
    return payment, refund


def refund_process(*, refund_id: int) -> None:
    """Bring a refund to its outcome, or leave it in doubt: beat hands it to a worker again later.

    A repetition is safe, and so are two runs at the same time. The refund is never made twice: see `_ask`.
    """
    with db.transaction():
        now = db.now()
        refund = refund_operations.refund_take(refund_id=refund_id, now=now)
    if refund is None:
        return
    db.connection_release()
    try:
        answer = _ask(refund, now=now)
    except GatewayUnknown as doubt:
        logger.warning("Refund %s is in doubt: %s", refund_id, doubt)
        answer = Refunded(outcome=RefundOutcome.PENDING)
    _apply(refund, answer)


def refund_look_again_request(*, gateway: str, intent: str, reference: str) -> None:
    """Let a worker look again at the refund with this reference at the gateway, if it is one of ours."""
    refund_id = selectors.refund_of_reference(gateway=gateway, intent=intent, reference=reference)
    if refund_id is not None:
        enqueue("checkout.refund_look_again", refund_id=refund_id)


def refunds_compare(*, gateway: str, since: datetime) -> None:
    """Let workers look again at the refunds made since `since` that failed at the gateway; raise GatewayUnknown."""
    for listed in gateways.named(gateway).refunds_failed(since=since):
        refund_look_again_request(gateway=gateway, intent=listed.intent, reference=listed.reference)


def refund_look_again(*, refund_id: int) -> None:
    """Ask the gateway about a refund that has succeeded, and tell staff if it has failed since.

    Raise GatewayUnknown; the nightly comparison asks again.
    """
    known = Refund.objects.select_related("payment").filter(pk=refund_id, status=RefundStatus.SUCCESS).first()
    if known is None or not known.gateway_reference:
        return
    db.connection_release()
    answer = gateways.named(known.payment.gateway).refund_retrieve(reference=known.gateway_reference)
    if answer.outcome != RefundOutcome.FAILED:
        return
    with db.transaction():
        payment, refund = refund_operations.refund_lock(refund_id=refund_id)
        if (refund.status, refund.gateway_reference) == (RefundStatus.SUCCESS, known.gateway_reference):
            refund_operations.refund_fail_late(
                payment=payment, refund=refund, error=answer.error, now=db.now()
            )


def _ask(refund: Refund, *, now: datetime) -> Refunded:
    """Return the gateway's answer about a refund; ask for the refund if the gateway has none.

    `now` is the time at which a worker took the refund. Raise GatewayUnknown.

    The key alone is not enough. A gateway repeats its first answer to a key, such as `pending` or a 500, even if
    the refund has changed since. After a day it may forget the key, and then the same request makes a second
    refund. So a refund whose reference is known is read by its reference, and a refund that may have been started
    is searched for first.
    """
    gateway = gateways.named(refund.payment.gateway)
    if refund.gateway_reference:
        return gateway.refund_retrieve(reference=refund.gateway_reference)
    asked: dict[str, Any] = {
        "key": protocol.gateway_key(
            "refund", of=refund.pk, try_number=refund.try_number, nonce=refund.gateway_nonce
        ),
        "intent": refund.payment.gateway_reference,
        "amount_minor": refund.amount_minor,
        "currency": refund.payment.currency,
        "refund_id": refund.pk,
    }
    # Search if the refund may have been started. After the restore of a backup the number of attempts may be too
    # low, so also search when the gateway may have forgotten the key.
    if refund.attempts > 1 or now >= refund.created + rules.KEY_KEPT:
        began = time.monotonic()
        found = gateway.refund_find(**asked)
        if found is not None:
            return found
        if time.monotonic() - began + CALL_SECONDS > rules.LEASE.total_seconds():
            raise GatewayUnknown("the gateway takes so long that the refund has to wait for another attempt")
    return gateway.refund(**asked)


def _apply(taken: Refund, answer: Refunded) -> None:
    """Apply a gateway's answer to the try to which it belongs, unless it was applied already."""
    with db.transaction():
        payment, refund = refund_operations.refund_lock(refund_id=taken.pk)
        if refund.try_number != taken.try_number or refund.status != RefundStatus.PROCESSING:
            return
        now = db.now()
        if answer.outcome == RefundOutcome.SUCCEEDED:
            refund_operations.refund_succeed(
                payment=payment, refund=refund, reference=answer.reference, now=now
            )
            _close_refusals(payment=payment, refund=refund, now=now)
        elif answer.outcome == RefundOutcome.FAILED:
            refund_operations.refund_fail(payment=payment, refund=refund, error=answer.error, now=now)
        else:
            if refund.attempts >= rules.STUCK_ATTEMPTS:
                operations.incident_open(
                    payment=payment, cause=Incident.Cause.STUCK, now=now, detail=f"refund {refund.pk}"
                )
            refund_operations.refund_reschedule(
                refund=refund,
                reference=answer.reference,
                until=now + rules.look_again_after(refund.attempts),
            )


def _close_refusals(*, payment: Payment, refund: Refund, now: datetime) -> None:
    """Close the incident of a refused refund if its money has gone back now, by another try or another refund."""
    if refund.try_number > 1 or payment.status == PaymentStatus.REFUNDED:
        operations.incidents_close(ids=_settled_refusals(payment), now=now)


def _settled_refusals(payment: Payment) -> list[int]:
    """Return the ids of the payment's incidents of refused refunds; none while a refund is still refused."""
    if selectors.refund_refused(payment=payment) is not None:
        return []
    return list(payment.incidents.filter(cause=Incident.Cause.REFUND_FAILED).values_list("pk", flat=True))
