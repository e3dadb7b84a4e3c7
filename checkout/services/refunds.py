"""Paying back: asked for by staff, or owed for money that came when the tickets were gone."""

import logging

from checkout import gateways, operations, refund_operations, rules
from checkout.gateways import GatewayUnknown
from checkout.models import Payment, Refund
from checkout.rules import Refunded
from overlord.kernel import db
from overlord.kernel.errors import NotFound

logger = logging.getLogger(__name__)


def refund_request(
    *, staff_id: int, payment_id: int, amount_minor: int | None, return_tickets: bool
) -> Payment:
    """Will ask for a payment to be paid back, whole (None: what is left of it) or in part, in minor units.

    Raises NotFound, NotRefundable, RefundTooLarge, RefundInProgress and Invalid.
    """
    refused = {"refund_one_in_flight_per_payment": rules.RefundInProgress()}
    with db.constraint_errors(refused), db.transaction():
        payment = operations.payment_lock(payment_id=payment_id)
        if Refund.objects.filter(payment=payment, status__in=["PENDING", "PROCESSING"]).exists():
            raise rules.RefundInProgress()
        to_pay_back = rules.refund_amount(
            status=payment.status,
            charged_minor=payment.amount_minor,
            refunded_minor=payment.refunded_minor,
            asked_minor=amount_minor,
            return_tickets=return_tickets,
        )
        operations.payment_set_refunded(payment=payment, refunded_minor=payment.refunded_minor + to_pay_back)
        refund_operations.refund_open(
            payment=payment,
            amount_minor=to_pay_back,
            return_tickets=return_tickets,
            requested_by=staff_id,
            now=db.now(),
        )
    return payment


def refund_retry(*, refund_id: int) -> None:
    """Will try a refund again that the gateway had refused; raises NotFound, NotRefundable, RefundTooLarge."""
    with db.transaction():
        payment_id = Refund.objects.filter(pk=refund_id).values_list("payment_id", flat=True).first()
        if payment_id is None:
            raise NotFound()
        payment = operations.payment_lock(payment_id=payment_id)
        refund = Refund.objects.select_for_update(no_key=True).get(pk=refund_id)
        if refund.status != "FAILURE":
            raise rules.RefundInProgress()
        if payment.status == "SUCCESS":
            if payment.refunded_minor + refund.amount_minor > payment.amount_minor:
                raise rules.RefundTooLarge()
            operations.payment_set_refunded(
                payment=payment, refunded_minor=payment.refunded_minor + refund.amount_minor
            )
        refund_operations.refund_again(refund=refund, now=db.now())


def refund_process(*, refund_id: int) -> None:
    """Will bring a refund to its outcome, or leave it in doubt for beat. Safe to repeat and to run twice at once.

    A refund that the gateway has not finished is asked for again with the same key, which asks about it.
    """
    with db.transaction():
        refund = refund_operations.refund_take(refund_id=refund_id, now=db.now())
    if refund is None:
        return
    try:
        answer = gateways.named(refund.payment.gateway).refund(
            key=rules.gateway_key("refund", of=refund.pk, try_number=refund.try_number),
            intent=refund.payment.gateway_reference,
            amount_minor=refund.amount_minor,
            refund_id=refund.pk,
        )
    except GatewayUnknown as doubt:
        logger.warning("Refund %s is in doubt: %s", refund_id, doubt)
        answer = Refunded(outcome="pending")
    _apply(refund, answer)


def _apply(taken: Refund, answer: Refunded) -> None:
    """Will apply what the gateway says to the try it belongs to, unless that has been applied already."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=taken.payment_id)
        refund = Refund.objects.select_for_update(no_key=True).get(pk=taken.pk)
        if refund.try_number != taken.try_number or refund.status != "PROCESSING":
            return
        now = db.now()
        if answer.outcome == "succeeded":
            refund_operations.refund_succeed(
                payment=payment, refund=refund, reference=answer.reference, now=now
            )
        elif answer.outcome == "failed":
            refund_operations.refund_fail(payment=payment, refund=refund, now=now)
        else:
            if refund.attempts >= rules.POISON_ATTEMPTS:
                operations.incident_open(
                    payment=payment, cause="stuck", now=now, detail=f"refund {refund.pk}"
                )
            refund_operations.refund_postpone(
                refund=refund, until=now + rules.look_again_after(refund.attempts)
            )
