"""Put tickets back on sale, by staff and without moving money."""

from checkout import operations, rules, selectors
from checkout.order_rules import OrderAction
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import operations as tickets
from tickets.admission import operations as admission
from tickets.models import Reservation


def reservation_return(*, staff_id: int, reservation_id: int) -> Reservation:
    """Put the tickets of a reservation that cost nothing, or that was refunded in full, back on sale.

    Return the reservation. Change nothing if the tickets are back on sale already. Raise NotFound, NotReturnable or
    RefundFirst.
    """
    found = Reservation.objects.filter(pk=reservation_id).first()
    if found is None:
        raise NotFound()
    with db.transaction():
        charged = selectors.payment_charged(order_id=found.order_id)
        # The payment is locked before the reservation, as everywhere. So a refund is settled either before this
        # return or after it.
        payment = operations.payment_lock(payment_id=charged.pk) if charged else None
        reservation = tickets.reservation_lock(reservation_id=reservation_id)
        if rules.is_returned(state=reservation.state, was_validated=reservation.validated_at is not None):
            return reservation
        rules.check_returnable(
            state=reservation.state,
            total_minor=reservation.total_minor,
            payment_status=payment.status if payment else None,
        )
        now = db.now()
        tickets.reservations_return(reservations=[reservation], now=now)
        admission.tickets_announce(order_id=reservation.order_id)
        operations.order_record(
            order_id=reservation.order_id,
            staff_id=staff_id,
            action=OrderAction.RETURN,
            text=f"reservation {reservation_id}",
            now=now,
        )
    return reservation
