"""Steps of cancelling an event inside an open transaction. A payment is locked before its order and its refund."""

from datetime import datetime

from checkout import operations, refund_operations, sql
from checkout.models import CancelledOrder, EventCancellation, OrderRecord
from checkout.order_rules import OrderAction
from checkout.rules import PaymentStatus, RefundStatus
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import operations as tickets
from tickets.models import Reservation


def cancellation_open(*, event_id: int, staff_id: int, message: str, now: datetime) -> None:
    """Record that staff have cancelled an event. Workers then refund its orders."""
    db.transaction_required()
    EventCancellation.objects.create(
        event_id=event_id, requested_by_id=staff_id, message=message, created=now, next_look_at=now
    )


def cancellation_lock(*, event_id: int) -> EventCancellation:
    """Lock and return the cancellation of an event; raise NotFound."""
    db.transaction_required()
    found = EventCancellation.objects.select_for_update(no_key=True).filter(pk=event_id).first()
    if found is None:
        raise NotFound()
    return found


def cancellation_reschedule(*, event_id: int, until: datetime | None) -> None:
    """Let workers look at a cancellation again at `until`, or never if `until` is None."""
    db.transaction_required()
    EventCancellation.objects.filter(pk=event_id).update(next_look_at=until)


def orders_collect(*, event_id: int, now: datetime) -> None:
    """Record the paid orders of a cancelled event that are not recorded yet, and owe each buyer a mail."""
    db.transaction_required()
    db.rows(sql.CANCELLED_COLLECT, {"event": event_id, "now": now})


def order_cancel(*, payment_id: int) -> None:
    """Start the refund of all money that is left of an order; if none is left, put its tickets back on sale.

    A repetition changes nothing. Raise RefundInProgress while a refund that staff started has no outcome.
    """
    payment = operations.payment_lock(payment_id=payment_id)
    order = CancelledOrder.objects.select_for_update(no_key=True).get(pk=payment_id)
    if order.refund_id is not None or order.settled_at is not None or payment.status != PaymentStatus.SUCCESS:
        return
    refund_operations.check_none_in_flight(payment=payment)
    left = payment.left_minor
    if left:
        operations.payment_set_refunded(payment=payment, refunded_minor=payment.amount_minor)
        requested_by = EventCancellation.objects.get(pk=order.cancellation_id).requested_by_id
        order.refund = refund_operations.refund_open(
            payment=payment, amount_minor=left, return_tickets=True, requested_by=requested_by, now=db.now()
        )
    else:
        paid, now = operations.reservations_lock(payment=payment)
        sold = [each for each in paid if each.state == Reservation.State.VALIDATED]
        tickets.reservations_return(reservations=sold, now=now)
        order.settled_at = now
    order.save(update_fields=["refund", "settled_at"])


def orders_retry(*, event_id: int, staff_id: int, now: datetime) -> int:
    """Let workers start another refund for each order whose refund was refused; return how many orders these are.

    The caller has locked the cancellation.
    """
    refused = CancelledOrder.objects.filter(
        cancellation_id=event_id, refund__status=RefundStatus.FAILURE, payment__status=PaymentStatus.SUCCESS
    )
    rows = list(refused.values_list("pk", "payment__reservation_id", "refund_id"))
    OrderRecord.objects.bulk_create(
        [
            OrderRecord(
                order_id=order_id,
                actor_id=staff_id,
                what=OrderAction.RETRY,
                text=f"refund {refund_id}",
                at=now,
            )
            for _, order_id, refund_id in rows
        ],
        batch_size=1000,
    )
    CancelledOrder.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(refund=None)
    cancellation_reschedule(event_id=event_id, until=now)
    return len(rows)
