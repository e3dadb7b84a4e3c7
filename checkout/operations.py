"""Steps of paying inside an open transaction.

Locks are taken in one order everywhere: payment, its reservation, the inventory. Each transition is a guarded
UPDATE of a locked row; each tells the buyer's screens after the commit.
"""

import logging
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Greatest

from checkout import projections, rules, sql
from checkout.models import Incident, Payment, Receipt
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.queues import Queue, enqueue
from tickets import operations as tickets
from tickets.models import Reservation

logger = logging.getLogger(__name__)

AT_REST = {"gateway_token": "", "lease_until": None, "next_look_at": None, "requires_action": None}


def payment_lock(*, payment_id: int, buyer_id: int | None = None) -> Payment:
    """Will lock a payment, its buyer's own where one is given; raises NotFound."""
    db.transaction_required()
    payments = Payment.objects.select_for_update(no_key=True)
    if buyer_id is not None:
        payments = payments.filter(buyer_id=buyer_id)
    payment = payments.filter(pk=payment_id).first()
    if payment is None:
        raise NotFound()
    return payment


def payment_open(*, reservation: Reservation, gateway: str, now: datetime) -> tuple[Payment, bool]:
    """Will find the payment of a locked reservation, or make one; the second says whether it was made."""
    db.transaction_required()
    existing = Payment.objects.filter(reservation=reservation).order_by("-id").first()
    if existing is not None:
        return existing, False
    payment = Payment.objects.create(
        buyer_id=reservation.buyer_id,
        reservation=reservation,
        amount_minor=reservation.unit_price_minor * reservation.quantity,
        currency=reservation.ticket_type.event.currency,
        gateway=gateway,
        created=now,
    )
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))
    return payment, True


def payment_begin(*, payment: Payment, token: str, now: datetime) -> None:
    """Will start the next try of a locked payment whose reservation has been turned to paying."""
    _payment_move(
        payment,
        "PENDING",
        error="",
        gateway_token=token,
        gateway_reference="",
        try_number=payment.try_number + 1,
        attempts=0,
        lease_until=None,
        next_look_at=now + rules.RESUME_AFTER,
        deadline=now + rules.DEADLINE,
    )
    db.after_commit(partial(enqueue, "checkout.payment_process", queue=Queue.PAYMENTS, payment_id=payment.pk))


def payment_take(*, payment_id: int, now: datetime) -> Payment | None:
    """Will lease a payment to this worker; None when it is settled or another worker has it.

    The lease and the count of attempts are committed before anything is risked.
    """
    db.transaction_required()
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    lease = {"lease_until": now + rules.LEASE, "attempts": F("attempts") + 1, "version": F("version") + 1}
    mine = Payment.objects.filter(free, pk=payment_id)
    taken = mine.filter(status__in=Payment.IN_FLIGHT).update(
        status="PROCESSING", next_look_at=now + rules.LEASE, **lease
    ) or mine.filter(status="ABANDONED").update(
        next_look_at=Greatest(F("next_look_at"), now + rules.LEASE), **lease
    )
    if not taken:
        return None
    payment = Payment.objects.get(pk=payment_id)
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))
    return payment


def payment_remember_intent(*, payment: Payment, reference: str) -> None:
    """Will keep the gateway's name for the intent of this try, before anything is confirmed on it."""
    db.transaction_required()
    _this_try(payment).update(gateway_reference=reference, version=F("version") + 1)
    payment.gateway_reference = reference


def payment_postpone(
    *, payment: Payment, until: datetime | None, action: dict[str, Any] | None = None
) -> None:
    """Will give a payment in doubt back for somebody to look after it at `until`; None: nobody any more."""
    db.transaction_required()
    _this_try(payment).update(
        lease_until=None, next_look_at=until, requires_action=action, version=F("version") + 1
    )
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _this_try(payment: Payment) -> Any:
    return Payment.objects.filter(
        pk=payment.pk, try_number=payment.try_number, status__in=["PROCESSING", "ABANDONED"]
    )


def payment_succeed(*, payment: Payment, reservation: Reservation, now: datetime) -> None:
    """Will make a locked payment's tickets the buyer's for good, and owe him a receipt."""
    tickets.reservation_validate(reservation=reservation, paid_minor=payment.amount_minor, now=now)
    _payment_move(payment, "SUCCESS", error="", **AT_REST)
    _receipt_owe(payment, now)


def payment_fail(*, payment: Payment, reservation: Reservation, outcome: str, now: datetime) -> None:
    """Will say why a locked payment did not charge, and give its reservation what time is left."""
    if payment.status != "ABANDONED":
        tickets.reservation_stop_paying(reservation=reservation, now=now)
    _payment_move(payment, "FAILURE", error=rules.SENTENCES[outcome], **AT_REST)


def payment_abandon(*, payment: Payment, reservation: Reservation, now: datetime) -> None:
    """Will stop protecting the hold of a locked payment whose gateway is silent; it is asked about still."""
    tickets.reservation_stop_paying(reservation=reservation, now=now)
    asked_later = {**AT_REST, "next_look_at": now + rules.LATE_LOOK}
    _payment_move(payment, "ABANDONED", error=rules.SENTENCES["abandoned"], **asked_later)
    incident_open(payment=payment, cause="gateway_silent", now=now)


def payment_succeed_late(*, payment: Payment, reservation: Reservation, now: datetime) -> bool:
    """Will take a locked abandoned payment's tickets again, now that it has charged; False when they are gone."""
    if not tickets.reservation_reseat(reservation=reservation, paid_minor=payment.amount_minor, now=now):
        return False
    _payment_move(payment, "SUCCESS", error="", **AT_REST)
    _receipt_owe(payment, now)
    return True


def payment_pay_back_late(*, payment: Payment, now: datetime) -> None:
    """Will mark a locked abandoned payment as one whose money goes back, whole."""
    _payment_move(
        payment, "REFUNDING", error=rules.SENTENCES["late"], refunded_minor=payment.amount_minor, **AT_REST
    )
    incident_open(payment=payment, cause="late_money", now=now)


def payment_refunded(*, payment: Payment) -> None:
    """Will mark a locked payment as paid back whole."""
    _payment_move(payment, "REFUNDED", error=rules.SENTENCES["refunded"])


def payment_set_refunded(*, payment: Payment, refunded_minor: int) -> None:
    """Will set how much of a locked payment is paid back or on its way back; a CHECK holds it to the amount."""
    db.transaction_required()
    Payment.objects.filter(pk=payment.pk).update(refunded_minor=refunded_minor, version=F("version") + 1)
    payment.refunded_minor = refunded_minor
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def payment_remove(*, payment: Payment) -> None:
    """Will remove a locked payment that has charged nobody; raises PaymentStarted."""
    rules.check_removable(payment.status)
    payment.delete()
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _payment_move(payment: Payment, target: str, **changes: Any) -> None:
    """Will change a locked payment's status by a guarded UPDATE, once, if the machine knows the way."""
    db.transaction_required()
    known = target in rules.PAYMENT_TRANSITIONS[payment.status]
    moved = known and Payment.objects.filter(pk=payment.pk, status=payment.status).update(
        status=target, version=F("version") + 1, **changes
    )
    if not moved:
        raise tickets.StateChanged(f"Payment {payment.pk} cannot turn from {payment.status} to {target}.")
    payment.refresh_from_db()
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _receipt_owe(payment: Payment, now: datetime) -> None:
    Receipt.objects.create(payment=payment, next_look_at=now)
    db.after_commit(partial(enqueue, "checkout.receipts_send", queue=Queue.MAIL))


def incident_open(*, payment: Payment, cause: str, now: datetime, detail: str = "") -> None:
    """Will put something before staff, once while it is open."""
    db.transaction_required()
    facts = {"cause": cause, "payment": payment.pk, "detail": detail, "now": now}
    if db.rows(sql.INCIDENT_OPEN, facts):
        logger.error("Payment %s: %s. %s", payment.pk, Incident.Cause(cause).label, detail)


def webhook_note(*, gateway: str, event_id: str, now: datetime) -> bool:
    """Will remember an event of a gateway; False when it was taken before."""
    db.transaction_required()
    return bool(db.rows(sql.WEBHOOK_NOTE, {"gateway": gateway, "event_id": event_id, "now": now}))
