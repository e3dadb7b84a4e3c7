"""Steps of paying back inside an open transaction. The payment is locked first, then its refund."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import F, Q

from checkout import operations, rules
from checkout.models import Payment, Refund
from overlord.kernel import db
from overlord.kernel.queues import Queue, enqueue
from tickets import operations as tickets

AT_REST = {"lease_until": None, "next_look_at": None}


def refund_open(
    *, payment: Payment, amount_minor: int, return_tickets: bool, requested_by: int | None, now: datetime
) -> Refund:
    """Will ask for `amount_minor` of a locked payment to be paid back."""
    db.transaction_required()
    refund = Refund.objects.create(
        payment=payment,
        amount_minor=amount_minor,
        return_tickets=return_tickets,
        requested_by_id=requested_by,
        next_look_at=now + rules.RESUME_AFTER,
        created=now,
    )
    db.after_commit(partial(enqueue, "checkout.refund_process", queue=Queue.PAYMENTS, refund_id=refund.pk))
    return refund


def refund_take(*, refund_id: int, now: datetime) -> Refund | None:
    """Will lease a refund in flight to this worker; None when it is settled or another worker has it."""
    db.transaction_required()
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    taken = Refund.objects.filter(free, pk=refund_id, status__in=["PENDING", "PROCESSING"]).update(
        status="PROCESSING",
        attempts=F("attempts") + 1,
        lease_until=now + rules.LEASE,
        next_look_at=now + rules.LEASE,
    )
    return Refund.objects.select_related("payment").get(pk=refund_id) if taken else None


def refund_postpone(*, refund: Refund, until: datetime) -> None:
    """Will give a refund in doubt back for somebody to look after it at `until`."""
    db.transaction_required()
    Refund.objects.filter(pk=refund.pk, status="PROCESSING").update(lease_until=None, next_look_at=until)


def refund_again(*, refund: Refund, now: datetime) -> None:
    """Will try a locked refund that the gateway had refused once more, under a new key."""
    _refund_move(refund, "PENDING", try_number=refund.try_number + 1, attempts=0, next_look_at=now)
    db.after_commit(partial(enqueue, "checkout.refund_process", queue=Queue.PAYMENTS, refund_id=refund.pk))


def refund_succeed(*, payment: Payment, refund: Refund, reference: str, now: datetime) -> None:
    """Will record that a locked refund of a locked payment was paid, and let the counters follow."""
    _refund_move(refund, "SUCCESS", gateway_reference=reference, **AT_REST)
    if payment.status == "SUCCESS":
        reservation = tickets.reservation_lock(reservation_id=payment.reservation_id)
        tickets.reservation_pay_back(
            reservation=reservation,
            amount_minor=refund.amount_minor,
            return_tickets=refund.return_tickets,
            now=now,
        )
    paid_back = sum(
        Refund.objects.filter(payment=payment, status="SUCCESS").values_list("amount_minor", flat=True)
    )
    if paid_back == payment.amount_minor:
        operations.payment_refunded(payment=payment)


def refund_fail(*, payment: Payment, refund: Refund, now: datetime) -> None:
    """Will record that the gateway refused a locked refund; staff are told, and may try again or otherwise."""
    _refund_move(refund, "FAILURE", **AT_REST)
    if payment.status == "SUCCESS":
        operations.payment_set_refunded(
            payment=payment, refunded_minor=payment.refunded_minor - refund.amount_minor
        )
    operations.incident_open(payment=payment, cause="refund_failed", now=now, detail=f"refund {refund.pk}")


def _refund_move(refund: Refund, target: str, **changes: Any) -> None:
    """Will change a locked refund's status by a guarded UPDATE, once, if the machine knows the way."""
    db.transaction_required()
    known = target in rules.REFUND_TRANSITIONS[refund.status]
    moved = known and Refund.objects.filter(pk=refund.pk, status=refund.status).update(
        status=target, **changes
    )
    if not moved:
        raise tickets.StateChanged(f"Refund {refund.pk} cannot turn from {refund.status} to {target}.")
    refund.refresh_from_db()
