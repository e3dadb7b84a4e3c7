"""Steps of refunding inside an open transaction. The payment is locked first, then its refund."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import F, Q

from checkout import operations, rules, selectors
from checkout.gateways.protocol import new_nonce
from checkout.models import Incident, Payment, Refund, RefundNotice
from checkout.rules import PaymentStatus, RefundStatus
from overlord.kernel import db
from overlord.kernel.errors import Mismatch, NotFound
from overlord.kernel.queues import enqueue
from overlord.kernel.steps import step_log_after_commit
from tickets import operations as tickets
from tickets.admission import operations as admission

ERROR_LENGTH = 500  # of a gateway's reason for a refusal
AT_REST = {"lease_until": None, "next_look_at": None}


def refund_lock(*, refund_id: int) -> tuple[Payment, Refund]:
    """Lock a payment, then its refund, and return both; raise NotFound."""
    db.transaction_required()
    payment_id = Refund.objects.filter(pk=refund_id).values_list("payment_id", flat=True).first()
    if payment_id is None:
        raise NotFound()
    payment = operations.payment_lock(payment_id=payment_id)
    return payment, Refund.objects.select_for_update(no_key=True).get(pk=refund_id)


def refund_repeated(
    *, payment: Payment, key: str | None, asked_minor: int | None, return_tickets: bool
) -> Refund | None:
    """Return the refund that an earlier request with this key started, or None. The payment is locked.

    Raise Mismatch if the earlier request asked for something else.
    """
    refund = None if key is None else payment.refunds.filter(idempotency_key=key).first()
    if refund is None:
        return None
    is_same = asked_minor in (None, refund.amount_minor) and return_tickets == refund.return_tickets
    if not is_same or refund.amount_left_out not in (None, asked_minor is None):
        raise Mismatch()
    return refund


def check_none_in_flight(*, payment: Payment) -> None:
    """Raise RefundInProgress when a refund of a locked payment is in flight."""
    if payment.refunds.filter(status__in=rules.REFUND_IN_FLIGHT).exists():
        raise rules.RefundInProgress()


def refund_open(
    *,
    payment: Payment,
    amount_minor: int,
    return_tickets: bool,
    requested_by: int | None,
    now: datetime,
    key: str | None = None,
    amount_left_out: bool | None = None,
) -> Refund:
    """Start a refund of `amount_minor` of a locked payment, and hand it to a worker.

    `requested_by` is the id of staff, or None if the money came late. `amount_left_out` is True if the request
    named no amount. Then a repeated request must not name an amount either (`refund_repeated`). None: not known.
    """
    db.transaction_required()
    refund = Refund.objects.create(
        payment=payment,
        amount_minor=amount_minor,
        return_tickets=return_tickets,
        requested_by_id=requested_by,
        idempotency_key=key,
        amount_left_out=amount_left_out,
        gateway_nonce=new_nonce(),
        next_look_at=now + rules.RESUME_AFTER,
        created=now,
    )
    db.after_commit(partial(enqueue, "checkout.refund_process", refund_id=refund.pk))
    return refund


def refund_in_cash(
    *,
    payment: Payment,
    amount_minor: int,
    return_tickets: bool,
    requested_by: int | None,
    now: datetime,
    key: str | None = None,
    amount_left_out: bool | None = None,
) -> Refund:
    """Record that staff paid this amount of a locked payment back in cash, without a gateway."""
    db.transaction_required()
    refund = Refund.objects.create(
        payment=payment,
        amount_minor=amount_minor,
        return_tickets=return_tickets,
        requested_by_id=requested_by,
        idempotency_key=key,
        amount_left_out=amount_left_out,
        status=RefundStatus.PROCESSING,
        created=now,
    )
    refund_succeed(payment=payment, refund=refund, reference="", now=now)
    return refund


def refund_take(*, refund_id: int, now: datetime) -> Refund | None:
    """Lease a refund to this worker, and return it with its payment.

    Return None if the refund has its outcome, or if another worker has it.
    """
    db.transaction_required()
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    taken = Refund.objects.filter(free, pk=refund_id, status__in=rules.REFUND_IN_FLIGHT).update(
        status=RefundStatus.PROCESSING,
        attempts=F("attempts") + 1,
        lease_until=now + rules.LEASE,
        next_look_at=now + rules.LEASE,
    )
    return Refund.objects.select_related("payment").get(pk=refund_id) if taken else None


def refund_reschedule(*, refund: Refund, reference: str, until: datetime) -> None:
    """End the lease of a refund without an outcome; beat hands it to a worker again at `until`.

    `reference` is the gateway's name for the refund, empty while it is not known.
    """
    db.transaction_required()
    Refund.objects.filter(pk=refund.pk, status=RefundStatus.PROCESSING).update(
        gateway_reference=reference or refund.gateway_reference, lease_until=None, next_look_at=until
    )


def refund_again(*, refund: Refund, now: datetime) -> None:
    """Start a new try of a locked refund that the gateway refused. At the gateway it has a new key."""
    _refund_move(
        refund,
        RefundStatus.PENDING,
        try_number=refund.try_number + 1,
        gateway_nonce=new_nonce(),
        gateway_reference="",
        attempts=0,
        next_look_at=now,
    )
    db.after_commit(partial(enqueue, "checkout.refund_process", refund_id=refund.pk))


def is_owed(*, payment: Payment, refund: Refund) -> bool:
    """Return whether the money of a failed refund is still owed, so that staff may try the refund again.

    If its payment was refunded in full, the money is owed only if the refund failed after it had succeeded, and no
    other refund has replaced it.
    """
    if payment.status != PaymentStatus.REFUNDED:
        return payment.status in (PaymentStatus.SUCCESS, PaymentStatus.REFUNDING)
    return selectors.refunds_failed_late(payment=payment).filter(pk=refund.pk).exists()


def refund_succeed(*, payment: Payment, refund: Refund, reference: str, now: datetime) -> None:
    """Record that a locked refund of a locked payment was paid, change the counters, and owe the buyer a mail."""
    before = selectors.paid_back_minor(payment=payment)
    _refund_move(refund, RefundStatus.SUCCESS, gateway_reference=reference, **AT_REST)
    if payment.status == PaymentStatus.SUCCESS:
        reservations, now = operations.reservations_lock(payment=payment)
        totals = [each.total_minor for each in reservations]
        tickets.order_pay_back(
            reservations=reservations,
            minor=rules.refund_shares(totals, before=before, amount=refund.amount_minor),
            return_tickets=refund.return_tickets,
            now=now,
        )
        if refund.return_tickets:
            admission.tickets_announce(order_id=payment.reservation_id)
    is_last = before + refund.amount_minor == payment.amount_minor
    if is_last and payment.status != PaymentStatus.REFUNDED:
        operations.payment_refunded(payment=payment)
        admission.tickets_revoke(order_id=payment.reservation_id, now=now)
    else:
        operations.payment_set_refunded(payment=payment, refunded_minor=payment.refunded_minor)
    RefundNotice.objects.get_or_create(refund=refund, defaults={"next_look_at": now})


def refund_paid_elsewhere(*, payment: Payment, refund: Refund, now: datetime) -> None:
    """Record that the money of a locked refund, which the gateway refused, went back outside of this shop.

    The gateway's name for the refund is removed. Otherwise later news about the refused refund would seem to be
    about this money.
    """
    db.transaction_required()
    Refund.objects.filter(pk=refund.pk).update(elsewhere=True)
    refund_succeed(payment=payment, refund=refund, reference="", now=now)


def refund_fail(*, payment: Payment, refund: Refund, error: str, now: datetime) -> None:
    """Record that the gateway refused a locked refund, and show an incident to staff, who may try again."""
    _refund_move(refund, RefundStatus.FAILURE, error=error[:ERROR_LENGTH], **AT_REST)
    claimed = refund.amount_minor if payment.status == PaymentStatus.SUCCESS else 0
    operations.payment_set_refunded(payment=payment, refunded_minor=payment.refunded_minor - claimed)
    operations.incident_open(
        payment=payment, cause=Incident.Cause.REFUND_FAILED, now=now, detail=f"refund {refund.pk}"
    )


def refund_fail_late(*, payment: Payment, refund: Refund, error: str, now: datetime) -> None:
    """Record that a locked refund failed after it had succeeded, and show an incident to staff, who may try again.

    A payment that is refunded in full stays refunded, and its tickets stay revoked: only the money is missing.
    """
    if payment.status == PaymentStatus.SUCCESS:
        reservations, now = operations.reservations_lock(payment=payment)
        left = selectors.paid_back_minor(payment=payment) - refund.amount_minor
        totals = [each.total_minor for each in reservations]
        shares = rules.refund_shares(totals, before=left, amount=refund.amount_minor)
        tickets.order_pay_back(
            reservations=reservations, minor=[-share for share in shares], return_tickets=False, now=now
        )
    refund_fail(payment=payment, refund=refund, error=error, now=now)


def _refund_move(refund: Refund, target: RefundStatus, **changes: Any) -> None:
    """Change a locked refund's status by an UPDATE that requires the old one.

    Raise StateChanged if there is no such transition, or if the row has another status.
    """
    db.transaction_required()
    known = target in rules.REFUND_TRANSITIONS[RefundStatus(refund.status)]
    moved = known and Refund.objects.filter(pk=refund.pk, status=refund.status).update(
        status=target, **changes
    )
    if not moved:
        raise tickets.StateChanged(f"Refund {refund.pk} cannot turn from {refund.status} to {target}.")
    step_log_after_commit(f"refund_{target.lower()}", refund=refund.pk, payment=refund.payment_id)
    refund.refresh_from_db()
