"""Steps of paying inside an open transaction.

Locks are taken in one order everywhere: payment, its reservation, the inventory. Each transition is a guarded
UPDATE of a locked row; each tells the buyer's screens after the commit.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import F, Q

from checkout import projections, rules
from checkout.models import Payment
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.hints import hint
from tickets import operations as tickets
from tickets.models import Reservation


def payment_lock(*, payment_id: int, client_id: int | None = None) -> Payment:
    """Will lock a payment, its client's own where one is given; raises NotFound."""
    db.transaction_required()
    payments = Payment.objects.select_for_update(no_key=True)
    if client_id is not None:
        payments = payments.filter(client_id=client_id)
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
        client_id=reservation.client_id,
        reservation=reservation,
        amount=reservation.unit_price * reservation.amount,
        currency=reservation.ticket_type.event.currency,
        gateway=gateway,
        created=now,
    )
    db.after_commit(partial(projections.announce, client_id=payment.client_id))
    return payment, True


def payment_begin(*, payment: Payment, token: str, now: datetime) -> None:
    """Will start the next try of a locked payment whose reservation has been turned to paying.

    The lease says when beat may look after it: nobody having taken it up by then, its message was lost.
    """
    _payment_move(
        payment,
        "PENDING",
        error="",
        gateway_token=token,
        gateway_reference="",
        try_number=payment.try_number + 1,
        lease_until=now + rules.RESUME_AFTER,
        deadline=now + rules.DEADLINE,
    )
    db.after_commit(partial(hint, "checkout.payment_process", queue="payments", payment_id=payment.pk))


def payment_take(*, payment_id: int, now: datetime) -> Payment | None:
    """Will lease a payment in flight to this worker; None when it is settled or another has it."""
    db.transaction_required()
    idle = Q(status="PENDING") | Q(status="PROCESSING", lease_until__lte=now)
    taken = Payment.objects.filter(idle, pk=payment_id).update(
        status="PROCESSING", lease_until=now + rules.LEASE, version=F("version") + 1
    )
    if not taken:
        return None
    payment = Payment.objects.get(pk=payment_id)
    db.after_commit(partial(projections.announce, client_id=payment.client_id))
    return payment


def payment_remember_intent(*, payment_id: int, try_number: int, reference: str) -> None:
    """Will keep the gateway's name for the intent of this try, before anything is confirmed on it."""
    db.transaction_required()
    Payment.objects.filter(pk=payment_id, try_number=try_number, status="PROCESSING").update(
        gateway_reference=reference, version=F("version") + 1
    )


def payment_postpone(*, payment_id: int, try_number: int, until: datetime) -> None:
    """Will leave a payment in doubt for beat to ask about at `until`."""
    db.transaction_required()
    Payment.objects.filter(pk=payment_id, try_number=try_number, status="PROCESSING").update(
        lease_until=until
    )


def payment_settle(*, payment: Payment, charge: rules.Charge, now: datetime) -> None:
    """Will apply a gateway's final answer to a locked payment in flight, its reservation and the inventory."""
    reservation = tickets.reservation_lock(reservation_id=payment.reservation_id)
    settled = {"gateway_token": "", "lease_until": None, "deadline": None}
    if charge.outcome == "succeeded":
        tickets.reservation_validate(reservation=reservation, paid=payment.amount, now=now)
        _payment_move(payment, "SUCCESS", **settled)
    else:
        tickets.reservation_stop_paying(reservation=reservation, now=now)
        sentence = charge.reason or rules.SENTENCES[charge.outcome]
        _payment_move(payment, "FAILURE", error=sentence, **settled)


def payment_remove(*, payment: Payment) -> None:
    """Will remove a locked payment that has charged nobody; raises PaymentStarted."""
    rules.check_removable(payment.status)
    payment.delete()
    db.after_commit(partial(projections.announce, client_id=payment.client_id))


def _payment_move(payment: Payment, target: str, **changes: Any) -> None:
    """Will change a locked payment's status by a guarded UPDATE, once."""
    db.transaction_required()
    moved = Payment.objects.filter(pk=payment.pk, status=payment.status).update(
        status=target, version=F("version") + 1, **changes
    )
    if not moved:
        raise tickets.StateChanged(f"Payment {payment.pk} is not {payment.status}.")
    payment.refresh_from_db()
    db.after_commit(partial(projections.announce, client_id=payment.client_id))
