"""Use cases of paying. The only place of this app where a transaction opens; no gateway is called inside one."""

import logging
from datetime import timedelta

from checkout import gateways, operations, rules, selectors
from checkout.gateways import Gateway, GatewayUnknown
from checkout.models import Payment
from overlord.kernel import db
from overlord.kernel.hints import hint
from tickets import operations as tickets
from tickets.models import Reservation

logger = logging.getLogger(__name__)

ASK_AGAIN_AFTER = timedelta(seconds=2)
RESUMED_AT_ONCE = 500
RESUME_EXPIRES = 4.0  # seconds: beat asks again every two, so an older message only repeats a newer one


def payment_create(*, client_id: int, reservation_id: int, gateway: str) -> tuple[Payment, bool]:
    """Will open the payment of the client's reservation; the second says whether it is new.

    Raises NotFound, AlreadyPaid and ReservationExpired.
    """
    with db.transaction():
        reservation = tickets.reservation_lock(reservation_id=reservation_id, client_id=client_id)
        if reservation.state == "validated":
            raise rules.AlreadyPaid()
        _insist_alive(reservation)
        return operations.payment_open(reservation=reservation, gateway=gateway, now=db.now())


def _insist_alive(reservation: Reservation) -> None:
    due = tickets.reservation_is_due(reservation=reservation, now=db.now())
    if due or reservation.state in ("expired", "released"):
        raise rules.ReservationExpired(state="expired" if due else reservation.state)


def payment_pay(*, client_id: int, payment_id: int, token: str) -> Payment:
    """Will protect the reservation and hand the payment to a worker; a price of 0 is settled at once.

    Raises NotFound, PaymentInProgress, AlreadyPaid, ReservationExpired and Invalid.
    """
    rules.check_token(token)
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, client_id=client_id)
        rules.check_may_pay(payment.status)
        reservation = tickets.reservation_lock(reservation_id=payment.reservation_id)
        if reservation.state == "validated":
            raise rules.AlreadyPaid()
        _insist_alive(reservation)
        now = db.now()
        tickets.reservation_begin_paying(reservation=reservation, now=now)
        if payment.amount == 0:
            operations.payment_settle(payment=payment, charge=rules.Charge(outcome="succeeded"), now=now)
        else:
            operations.payment_begin(payment=payment, token=token, now=now)
    return payment


def payment_remove(*, client_id: int, payment_id: int) -> None:
    """Will remove the client's payment that has not started or has failed; raises NotFound, PaymentStarted."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, client_id=client_id)
        operations.payment_remove(payment=payment)


# In the worker -------------------------------------------------------------------------------------------
def payment_process(*, payment_id: int) -> None:
    """Will bring a payment in flight to its outcome, or leave it in doubt for beat to bring up again.

    Safe to repeat and to run twice at once: the lease lets one worker in, and the gateway knows its keys.
    """
    with db.transaction():
        payment = operations.payment_take(payment_id=payment_id, now=db.now())
    if payment is None:
        return
    try:
        charge = _charge(payment, gateways.named(payment.gateway))
    except GatewayUnknown as doubt:
        logger.warning("Payment %s is in doubt: %s", payment_id, doubt)
        with db.transaction():
            operations.payment_postpone(
                payment_id=payment_id, try_number=payment.try_number, until=db.now() + ASK_AGAIN_AFTER
            )
        return
    payment_apply(payment_id=payment_id, try_number=payment.try_number, charge=charge)


def _charge(payment: Payment, gateway: Gateway) -> rules.Charge:
    """Will create this try's intent and confirm it, asking first where an earlier run may have. No transaction
    is open meanwhile; raises GatewayUnknown."""
    attempt = {"payment_id": payment.pk, "try_number": payment.try_number}
    intent = payment.gateway_reference
    if intent:
        if (known := gateway.retrieve(intent=intent)) is not None:
            return known
    else:
        intent = gateway.create_intent(
            key=rules.gateway_key("create", **attempt),
            amount=payment.amount,
            currency=payment.currency,
            payment_id=payment.pk,
        )
        with db.transaction():
            operations.payment_remember_intent(**attempt, reference=intent)
    return gateway.confirm(
        key=rules.gateway_key("confirm", **attempt), intent=intent, token=payment.gateway_token
    )


def payment_apply(*, payment_id: int, try_number: int, charge: rules.Charge) -> None:
    """Will apply the gateway's answer to the try it belongs to, unless that has been applied already."""
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id)
        if payment.status in Payment.IN_FLIGHT and payment.try_number == try_number:
            operations.payment_settle(payment=payment, charge=charge, now=db.now())


def payments_resume() -> int:
    """Will hand payments to workers again whose message was lost or whose worker died, and count them."""
    idle = selectors.payments_to_resume(now=db.now(), most=RESUMED_AT_ONCE)
    for payment_id in idle:
        hint("checkout.payment_process", queue="payments", expires=RESUME_EXPIRES, payment_id=payment_id)
    return len(idle)
