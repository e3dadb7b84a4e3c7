"""What a buyer does with a payment."""

from datetime import datetime

from checkout import operations, rules
from checkout.models import Payment
from overlord.kernel import db
from tickets import operations as tickets
from tickets.models import Reservation


def payment_create(*, buyer_id: int, reservation_id: int, gateway: str) -> tuple[Payment, bool]:
    """Return the payment of the buyer's reservation, made if there is none, and whether it was made.

    Raises NotFound, AlreadyPaid and ReservationExpired.
    """
    with db.transaction():
        reservation = tickets.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
        now = db.now()
        _check_payable(reservation, now=now)
        return operations.payment_open(reservation=reservation, gateway=gateway, now=now)


def payment_pay(*, buyer_id: int, payment_id: int, token: str) -> Payment:
    """Protect the reservation from expiry and hand the payment to a worker; settle a price of 0 at once.

    Raises NotFound, PaymentInProgress, AlreadyPaid, ReservationExpired and Invalid.
    """
    rules.check_token(token)
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
        rules.check_may_pay(payment.status)
        reservation = tickets.reservation_lock(reservation_id=payment.reservation_id)
        now = db.now()
        _check_payable(reservation, now=now)
        tickets.reservation_begin_paying(reservation=reservation, now=now)
        if payment.amount_minor == 0:
            operations.payment_succeed(payment=payment, reservation=reservation, now=now)
        else:
            operations.payment_begin(payment=payment, token=token, now=now)
    return payment


def reservation_pay(*, buyer_id: int, reservation_id: int, gateway: str, token: str) -> Payment:
    """Pay for the buyer's reservation, with its payment made if there is none; raise what either step raises."""
    payment, _ = payment_create(buyer_id=buyer_id, reservation_id=reservation_id, gateway=gateway)
    return payment_pay(buyer_id=buyer_id, payment_id=payment.pk, token=token)


def payment_remove(*, buyer_id: int, payment_id: int) -> None:
    """Remove the buyer's payment if it has not started or has failed; raise NotFound or PaymentStarted."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
        operations.payment_remove(payment=payment)


def _check_payable(reservation: Reservation, *, now: datetime) -> None:
    """Raise AlreadyPaid or ReservationExpired unless a locked reservation can still be paid."""
    if reservation.state == Reservation.State.VALIDATED:
        raise rules.AlreadyPaid()
    state = tickets.reservation_state(reservation=reservation, now=now)
    if state in Reservation.ENDED:
        raise rules.ReservationExpired(state=state)
