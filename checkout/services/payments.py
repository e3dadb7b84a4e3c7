"""What a buyer does with a payment."""

from checkout import operations, rules
from checkout.models import Payment
from overlord.kernel import db
from tickets import operations as tickets
from tickets.models import Reservation


def payment_create(*, buyer_id: int, reservation_id: int, gateway: str) -> tuple[Payment, bool]:
    """Will open the payment of the buyer's reservation; the second says whether it is new.

    Raises NotFound, AlreadyPaid and ReservationExpired.
    """
    with db.transaction():
        reservation = tickets.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
        _insist_alive(reservation)
        return operations.payment_open(reservation=reservation, gateway=gateway, now=db.now())


def payment_pay(*, buyer_id: int, payment_id: int, token: str) -> Payment:
    """Will protect the reservation and hand the payment to a worker; a price of 0 is settled at once.

    Raises NotFound, PaymentInProgress, AlreadyPaid, ReservationExpired and Invalid.
    """
    rules.check_token(token)
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
        rules.check_may_pay(payment.status)
        reservation = tickets.reservation_lock(reservation_id=payment.reservation_id)
        _insist_alive(reservation)
        now = db.now()
        tickets.reservation_begin_paying(reservation=reservation, now=now)
        if payment.amount_minor == 0:
            operations.payment_succeed(payment=payment, reservation=reservation, now=now)
        else:
            operations.payment_begin(payment=payment, token=token, now=now)
    return payment


def reservation_pay(*, buyer_id: int, reservation_id: int, gateway: str, token: str) -> Payment:
    """Will open the payment of the buyer's reservation, or find it, and pay; raises what either raises."""
    payment, _ = payment_create(buyer_id=buyer_id, reservation_id=reservation_id, gateway=gateway)
    return payment_pay(buyer_id=buyer_id, payment_id=payment.pk, token=token)


def payment_remove(*, buyer_id: int, payment_id: int) -> None:
    """Will remove the buyer's payment that has not started or has failed; raises NotFound, PaymentStarted."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
        operations.payment_remove(payment=payment)


def _insist_alive(reservation: Reservation) -> None:
    """Will insist that a locked reservation can still be paid; raises AlreadyPaid and ReservationExpired."""
    if reservation.state == "validated":
        raise rules.AlreadyPaid()
    due = tickets.reservation_is_due(reservation=reservation, now=db.now())
    if due or reservation.state in ("expired", "released"):
        raise rules.ReservationExpired(state="expired" if due else reservation.state)
