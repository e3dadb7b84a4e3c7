"""Steps of paying inside an open transaction.

Only `payment_take` and `payment_remember_intent` are single statements that commit by themselves. `mail_take` works
in both ways.

Locks are taken in the order of docs/concurrency.md: payment, reservations, event, vouchers, inventories. Each
transition is an UPDATE that requires the old status. The buyer's stream is marked after the commit. `now` is
PostgreSQL's clock, read after the lock.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db.models import Model, Q
from django.db.models.functions import Coalesce

from checkout import price_rules, projections, rules, selectors, sql
from checkout.gateways.protocol import ListedCharge, new_nonce
from checkout.models import CounterSale, Incident, OrderRecord, Payment, Receipt, UnmatchedCharge
from checkout.order_rules import OrderAction
from checkout.rules import Outcome, PaymentStatus
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.queues import enqueue
from overlord.kernel.steps import step_log, step_log_after_commit
from tickets import operations as tickets
from tickets.models import Reservation

logger = logging.getLogger(__name__)
AnyMail = TypeVar("AnyMail", bound=Model)  # a model with `attempts`, `next_look_at` and `sent_at`

# The values of these columns in a payment that no worker has to look at.
AT_REST: dict[str, Any] = {
    "gateway_token": "",
    "lease_until": None,
    "next_look_at": None,
    "requires_action": None,
}
INCIDENT_SENTENCE = "This payment cannot be removed, because staff must be able to see what happened to it."
# The statuses of payments that an answer of the gateway may still change.
OPEN_TO_NEWS = (PaymentStatus.PROCESSING, PaymentStatus.ABANDONED)


def payment_lock(*, payment_id: int, buyer_id: int | None = None) -> Payment:
    """Lock and return a payment; raise NotFound. If `buyer_id` is given, another buyer's payment is not found."""
    db.transaction_required()
    text = sql.PAYMENT_LOCK if buyer_id is None else sql.OWN_PAYMENT_LOCK
    for payment in selectors.payments(text, payment=payment_id, buyer=buyer_id):
        return payment
    raise NotFound()


def payment_order_lock(
    *, payment_id: int, buyer_id: int | None = None
) -> tuple[Payment, list[Reservation], datetime]:
    """Lock a payment as `payment_lock` does, and then its whole order; return both, and `now`; raise NotFound."""
    db.transaction_required()
    found = selectors.payment_with_order(payment=payment_id, buyer=buyer_id)
    if found is None:
        raise NotFound()
    return found


def reservations_lock(*, payment: Payment) -> tuple[list[Reservation], datetime]:
    """Lock the order of a locked payment; return the reservations that its latest try is for, and `now`."""
    order, now = tickets.order_lock(order_id=payment.reservation_id)
    return rules.tried_last(order), now


def payment_open(*, order: Sequence[Reservation], gateway: str, now: datetime) -> tuple[Payment, bool]:
    """Return the payment of a locked order, and whether it was made now because there was none."""
    db.transaction_required()
    lead = order[0]
    for newest in selectors.payments(sql.PAYMENTS_OF_ORDERS, orders=[lead.pk]):
        return newest, False
    payment = Payment(
        buyer_id=lead.buyer_id,
        reservation=lead,
        amount_minor=price_rules.price_minor(PaymentStatus.NOT_STARTED, order, amount_minor=0),
        currency=lead.currency,
        gateway=gateway,
        created=now,
    )
    db.insert(payment)
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id, is_urgent=False))
    return payment, True


def payment_begin(
    *, payment: Payment, reservations: Sequence[Reservation], token: str, now: datetime
) -> None:
    """Start the next try of a locked payment, at the present price of these reservations, and hand it to a worker.

    If the price is 0, the payment succeeds at once.
    """
    amount_minor = sum(each.total_minor for each in reservations)
    if amount_minor == 0:
        _payment_set_amount(payment, 0)
        payment_succeed(payment=payment, reservations=reservations, now=now)
        return
    _payment_move(
        payment,
        PaymentStatus.PENDING,
        is_told=True,  # `order_begin_paying` marks the stream after the commit
        amount_minor=amount_minor,
        error="",
        gateway_token=token,
        gateway_reference="",
        gateway_nonce=new_nonce(),
        try_number=payment.try_number + 1,
        attempts=0,
        lease_until=None,
        next_look_at=now + rules.RESUME_AFTER,
        deadline=now + rules.DEADLINE,
    )
    db.after_commit(partial(enqueue, "checkout.payment_process", payment_id=payment.pk))


def payment_take(*, payment_id: int) -> Payment | None:
    """Lease a payment to this worker and return it, if it is in flight or abandoned and no other worker has it.

    Otherwise return None. The lease and the number of attempts are committed before the gateway is asked.
    """
    db.autocommit_required()
    taken = selectors.payments(
        sql.PAYMENT_TAKE,
        payment=payment_id,
        lease=rules.LEASE,
        in_flight=list(rules.IN_FLIGHT),
        pending=PaymentStatus.PENDING,
        processing=PaymentStatus.PROCESSING,
        abandoned=PaymentStatus.ABANDONED,
    )
    if not taken:
        return None
    [payment] = taken
    step_log("payment_taken", **_about(payment), attempt=payment.attempts)
    # Not urgent: a quick gateway answers before the buyer could see this state.
    projections.announce(buyer_id=payment.buyer_id, is_urgent=False)
    return payment


def payment_remember_intent(*, payment: Payment, reference: str) -> None:
    """Store the gateway's reference of the intent of this try, before the intent is confirmed."""
    db.autocommit_required()
    db.update_unseen(Payment, {"gateway_reference": reference}, **_this_try(payment))
    payment.gateway_reference = reference
    step_log("payment_intent_made", **_about(payment), intent=reference)


def payment_reschedule(
    *, payment: Payment, until: datetime | None, action: dict[str, Any] | None = None
) -> None:
    """End the lease of a payment without an outcome. A worker looks again at `until`, or never if `until` is None.

    `action` is the step that the buyer's browser must do next, or None.
    """
    db.transaction_required()
    update = db.update_unseen if action == payment.requires_action else db.update
    waits = {"lease_until": None, "next_look_at": until, "requires_action": action}
    update(Payment, waits, **_this_try(payment))
    _log(payment, "payment_waits", until=until)
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _this_try(payment: Payment) -> dict[str, Any]:
    """Return conditions for `db.update` that select this try, if the gateway's answer may still change it."""
    return {"id": payment.pk, "try_number": payment.try_number, "status": OPEN_TO_NEWS}


def is_open_to_news(*, payment: Payment, taken: Payment) -> bool:
    """Return whether the gateway's answer about the try of `taken` may still change the locked payment."""
    return payment.try_number == taken.try_number and payment.status in OPEN_TO_NEWS


def payment_succeed(*, payment: Payment, reservations: Sequence[Reservation], now: datetime) -> None:
    """Sell the tickets of a locked payment, and owe the buyer a receipt."""
    _check_amount(payment, reservations)
    tickets.order_validate(reservations=reservations, now=now)
    _payment_move(payment, PaymentStatus.SUCCESS, is_told=True, error="", **AT_REST)
    _receipt_owe(payment, now)


def counter_payment_open(
    *, order: Sequence[Reservation], event_id: int, staff_id: int, is_free: bool, key: str, now: datetime
) -> Payment:
    """Record that staff sold a locked order at the counter; owe the buyer a mail if there is an address."""
    payment, _ = payment_open(order=order, gateway=rules.COUNTER, now=now)
    _payment_set_amount(payment, sum(each.total_minor for each in order))
    _payment_move(payment, PaymentStatus.SUCCESS)
    CounterSale.objects.create(
        payment=payment, event_id=event_id, sold_by_id=staff_id, is_free=is_free, key=key, at=now
    )
    if payment.buyer.mail_address:
        _receipt_owe(payment, now)
    return payment


def payment_fail(
    *, payment: Payment, reservations: Sequence[Reservation], outcome: Outcome, now: datetime
) -> None:
    """Record why a locked payment charged nobody.

    The reservations become holds again for the rest of their time, or expire if they are due. If the payment was
    abandoned before, this has already happened.
    """
    if payment.status != PaymentStatus.ABANDONED:
        tickets.order_stop_paying(reservations=reservations, now=now)
    _payment_move(payment, PaymentStatus.FAILURE, error=rules.OUTCOME_SENTENCES[outcome], **AT_REST)


def payment_abandon(*, payment: Payment, reservations: Sequence[Reservation], now: datetime) -> None:
    """Stop protecting the holds of a locked payment without an outcome, and look at the payment less often."""
    tickets.order_stop_paying(reservations=reservations, now=now)
    asked_later = {**AT_REST, "next_look_at": now + rules.LATE_LOOK}
    _payment_move(payment, PaymentStatus.ABANDONED, error=rules.ABANDONED_SENTENCE, **asked_later)


def payment_succeed_late(*, payment: Payment, reservations: Sequence[Reservation], now: datetime) -> bool:
    """Sell the tickets of a locked abandoned payment that charged late.

    Return False if the tickets cannot be sold now, or if their price is no longer the payment's amount.
    """
    changed = sum(each.total_minor for each in reservations) != payment.amount_minor
    if changed or not tickets.order_validate_late(reservations=reservations, now=now):
        return False
    _payment_move(payment, PaymentStatus.SUCCESS, error="", **AT_REST)
    _receipt_owe(payment, now)
    return True


def _check_amount(payment: Payment, reservations: Sequence[Reservation]) -> None:
    """Raise StateChanged unless a payment is for exactly what its reservations cost."""
    if sum(each.total_minor for each in reservations) != payment.amount_minor:
        raise tickets.StateChanged(f"Payment {payment.pk} is not for what its order costs.")


def payment_refund_late(*, payment: Payment, now: datetime) -> None:
    """Record that all money of a locked abandoned payment goes back, and show staff an incident."""
    _payment_move(
        payment,
        PaymentStatus.REFUNDING,
        error=rules.LATE_SENTENCE,
        refunded_minor=payment.amount_minor,
        **AT_REST,
    )
    incident_open(payment=payment, cause=Incident.Cause.LATE_MONEY, now=now)


def payment_refunded(*, payment: Payment) -> None:
    """Mark a locked payment as refunded in full."""
    _payment_move(payment, PaymentStatus.REFUNDED, error=rules.REFUNDED_SENTENCE)


def _payment_set_amount(payment: Payment, amount_minor: int) -> None:
    Payment.objects.filter(pk=payment.pk).update(amount_minor=amount_minor)
    payment.amount_minor = amount_minor


def payment_set_refunded(*, payment: Payment, refunded_minor: int) -> None:
    """Set how much of a locked payment is refunded or being refunded, and mark the buyer's stream."""
    db.transaction_required()
    db.update(Payment, {"refunded_minor": refunded_minor}, id=payment.pk)
    payment.refunded_minor, payment.version = refunded_minor, payment.version + 1
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def payment_remove(*, payment: Payment) -> None:
    """Remove a locked payment. Raise PaymentStarted if it has charged or may charge, or if it has an incident."""
    rules.check_removable(payment.status)
    if payment.incidents.exists():
        raise rules.PaymentStarted(INCIDENT_SENTENCE)
    payment.delete()
    db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _payment_move(payment: Payment, target: PaymentStatus, *, is_told: bool = False, **changes: Any) -> None:
    """Change a locked payment's status by an UPDATE that requires the old one.

    Raise StateChanged if there is no such transition, or if the row has another status. `is_told` says that another
    step of the same transaction marks the buyer's stream. Then this function does not mark it.
    """
    db.transaction_required()
    known = target in rules.PAYMENT_TRANSITIONS[PaymentStatus(payment.status)]
    moved = known and db.update(Payment, {"status": target, **changes}, id=payment.pk, status=payment.status)
    if not moved:
        raise tickets.StateChanged(f"Payment {payment.pk} cannot turn from {payment.status} to {target}.")
    payment.version += 1
    for name, value in {"status": target, **changes}.items():
        setattr(payment, name, value)
    _log(payment, f"payment_{target.lower()}", reason=payment.error)
    if not is_told:
        db.after_commit(partial(projections.announce, buyer_id=payment.buyer_id))


def _log(payment: Payment, step: str, **facts: Any) -> None:
    """Log a step of a payment after the commit."""
    step_log_after_commit(step, **_about(payment), **facts)


def _about(payment: Payment) -> dict[str, int]:
    return {"payment": payment.pk, "reservation": payment.reservation_id, "try_number": payment.try_number}


def _receipt_owe(payment: Payment, now: datetime) -> None:
    """Record that a receipt is due. Every two seconds `look_after` enqueues the task that sends all due mails."""
    db.insert(Receipt(payment=payment, next_look_at=now))


def mail_take(kind: type[AnyMail], *, pk: int, lease: timedelta) -> AnyMail | None:
    """Lease a mail, count the attempt, and return the mail; None if the mail is no longer owed, or is locked.

    Call it inside a transaction, or outside of one as a statement that commits by itself.
    """
    for [owed] in db.instances(sql.mail_take(kind), {"pk": pk, "lease": lease}, kind):
        taken: AnyMail = owed
        return taken
    return None


def order_record(*, order_id: int, staff_id: int, action: OrderAction, text: str, now: datetime) -> None:
    """Record an action of staff on an order."""
    db.transaction_required()
    OrderRecord.objects.create(order_id=order_id, actor_id=staff_id, what=action, text=text, at=now)


def incident_open(*, payment: Payment, cause: Incident.Cause, now: datetime, detail: str = "") -> None:
    """Show staff an incident, unless the payment has an open incident of this cause."""
    db.transaction_required()
    facts = {"cause": cause, "payment": payment.pk, "detail": detail, "now": now}
    if db.rows(sql.INCIDENT_OPEN, facts):
        logger.error("Payment %s: %s. %s", payment.pk, cause.label, detail)


def unmatched_charge_open(*, gateway: str, charge: ListedCharge, left_minor: int, now: datetime) -> bool:
    """Record a charge without a payment, and how much of it is not refunded; return whether it is new."""
    db.transaction_required()
    _, new = UnmatchedCharge.objects.get_or_create(
        gateway=gateway,
        gateway_reference=charge.intent,
        defaults={
            "payment_number": charge.payment_id,
            "amount_minor": left_minor,
            "currency": charge.currency,
            "charged_at": charge.created,
            "found_at": now,
        },
    )
    if new:
        logger.error("No payment has the charge %s of %s.", charge.intent, gateway)
    return new


def unmatched_charge_lock(*, charge_id: int) -> UnmatchedCharge:
    """Lock and return an open charge without a payment; raise NotFound."""
    db.transaction_required()
    charge = UnmatchedCharge.objects.select_for_update().filter(pk=charge_id, closed_at=None).first()
    if charge is None:
        raise NotFound()
    return charge


def unmatched_charge_paid_back(*, charge_id: int, refund: str, now: datetime) -> bool:
    """Close a charge without a payment, and store `refund`, the gateway's name for its refund.

    If staff closed the charge while the gateway was asked, only the name is added. Return False if the charge has
    such a name already.
    """
    db.transaction_required()
    found = UnmatchedCharge.objects.filter(Q(closed_at=None) | Q(refund_reference=""), pk=charge_id)
    return bool(found.update(closed_at=Coalesce("closed_at", now), refund_reference=refund))


def unmatched_charges_close(*, ids: Collection[int], now: datetime) -> list[str]:
    """Close open charges without a payment, and return the gateway's names for them."""
    db.transaction_required()
    found = UnmatchedCharge.objects.filter(pk__in=ids, closed_at=None).order_by("pk")
    names = list(found.select_for_update(no_key=True).values_list("gateway_reference", flat=True))
    found.update(closed_at=now)
    return names


def incidents_close(*, ids: Collection[int], now: datetime) -> list[tuple[int, int]]:
    """Close open incidents, and return the ids of the payment and the order of each."""
    db.transaction_required()
    found = Incident.objects.filter(pk__in=ids, closed_at=None).order_by("pk")
    locked = found.select_for_update(no_key=True, of=("self",))
    closed = list(locked.values_list("payment_id", "payment__reservation_id"))
    found.update(closed_at=now)
    return closed


def webhook_note(*, gateway: str, message_id: str, now: datetime) -> bool:
    """Record a message of a gateway by its id at the gateway; return False if it was recorded before."""
    db.transaction_required()
    return bool(db.rows(sql.WEBHOOK_NOTE, {"gateway": gateway, "event_id": message_id, "now": now}))
