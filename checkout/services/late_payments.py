"""Late money: money that arrives after its payment was abandoned, when its tickets may be sold to another buyer."""

from checkout import operations, refund_operations
from checkout.models import Payment
from checkout.rules import Charge, Outcome


def settle_late(*, payment: Payment, known: Charge) -> None:
    """Settle a locked abandoned payment: sell its tickets if all are left, or else refund its money.

    Runs in the transaction that settles the payment.
    """
    reservations, now = operations.reservations_lock(payment=payment)
    if known.outcome != Outcome.SUCCEEDED:
        operations.payment_fail(payment=payment, reservations=reservations, outcome=known.outcome, now=now)
    elif not operations.payment_succeed_late(payment=payment, reservations=reservations, now=now):
        operations.payment_refund_late(payment=payment, now=now)
        refund_operations.refund_open(
            payment=payment,
            amount_minor=payment.amount_minor,
            return_tickets=False,
            requested_by=None,
            now=now,
        )
