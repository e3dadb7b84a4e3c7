"""Cancel an event. Staff decide this once; then workers refund each order once, as fast as the gateway answers.

The decision is one row, written in the transaction that ends the sale. Each later step is a transaction of its own
and can be repeated. The state of an order's payment decides the next step, so a worker may die after any step.
"""

from contextlib import suppress
from datetime import timedelta

from checkout import cancellation_operations as operations
from checkout import rules, selectors
from checkout.cancellation_rules import AlreadyCancelled, NotCancellable, message_read
from checkout.services.refunds import refund_retry
from overlord.kernel import db
from overlord.kernel.errors import Conflict, NotFound
from tickets import event_operations
from tickets.admission import operations as admission
from tickets.event_rules import EventOutdated, EventStatus

IN_FLIGHT = 100  # refunds of one cancellation at a time, so that buyers of other events can pay meanwhile
REVOKED_AT_ONCE = 5_000  # tickets in one statement
LOOK_AGAIN = timedelta(seconds=2)


def event_cancel(*, staff_id: int, event_id: int, version: int, message: str) -> None:
    """Cancel an event: stop its sale, and let workers refund its paid orders and send mails to their buyers.

    `version` is the version of the event that staff saw. Raise NotFound, Invalid, AlreadyCancelled, NotCancellable
    for a draft, and EventOutdated if the event has another version.
    """
    text = message_read(message)
    with db.transaction():
        event = event_operations.event_lock(event_id=event_id)
        if event is None:
            raise NotFound()
        if event.status == EventStatus.CANCELLED:
            raise AlreadyCancelled()
        if event.status != EventStatus.ON_SALE:
            raise NotCancellable()
        if event.version != version:
            raise EventOutdated()
        now = db.now()
        event_operations.event_status_set(event=event, status=EventStatus.CANCELLED, now=now)
        operations.cancellation_open(event_id=event_id, staff_id=staff_id, message=text, now=now)


def cancellation_retry(*, staff_id: int, event_id: int) -> int:
    """Try again each refund of a cancelled event that the gateway refused, or that failed after it had succeeded.

    Return the number of these refunds. Raise NotFound if the event is not cancelled.
    """
    with db.transaction():
        operations.cancellation_lock(event_id=event_id)
        count = operations.orders_retry(event_id=event_id, staff_id=staff_id, now=db.now())
    for refund_id in selectors.cancelled_failed_late(event_id=event_id):
        with suppress(Conflict):  # the refund has changed since it was read
            refund_retry(staff_id=staff_id, refund_id=refund_id)
            count += 1
    return count


def cancellations_go_on() -> int:
    """Go on with each cancelled event for which work is due; return how many orders were handled.

    Only one process at a time does this.
    """
    with db.advisory_lock("checkout.cancellations") as lock:
        if not lock.is_mine():
            return 0
        return sum(_go_on(event_id) for event_id in selectors.cancellations_due(now=db.now()))


def _go_on(event_id: int) -> int:
    """Find the orders of a cancelled event, revoke their tickets, and start refunds, up to IN_FLIGHT at a time.

    Return how many orders were handled.
    """
    with db.transaction():
        # Read this first. If a payment succeeds afterwards, `orders_collect` or a later pass finds its order.
        may_grow = selectors.is_reserved_now(event_id=event_id)
        operations.orders_collect(event_id=event_id, now=db.now())
    while _revoke(event_id) == REVOKED_AT_ONCE:
        pass
    room = max(0, IN_FLIGHT - selectors.cancelled_in_flight(event_id=event_id))
    waiting = selectors.cancelled_waiting(event_id=event_id, most=room)
    for payment_id in waiting:
        order_cancel(payment_id=payment_id)
    with db.transaction():
        operations.cancellation_lock(event_id=event_id)  # so that staff cannot ask for a retry in between
        done = not may_grow and not selectors.cancelled_waiting(event_id=event_id, most=1)
        operations.cancellation_reschedule(event_id=event_id, until=None if done else db.now() + LOOK_AGAIN)
    return len(waiting)


def _revoke(event_id: int) -> int:
    with db.transaction():
        return admission.event_tickets_revoke(event_id=event_id, most=REVOKED_AT_ONCE, now=db.now())


def order_cancel(*, payment_id: int) -> None:
    """Start the refund of an order of a cancelled event. If all its money was refunded before, return its tickets.

    A repetition changes nothing. An order that has a refund in flight is left for a later pass.
    """
    with suppress(rules.RefundInProgress), db.transaction():
        operations.order_cancel(payment_id=payment_id)
