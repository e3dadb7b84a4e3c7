"""Settle late money: a charge that is found after its payment was abandoned. Its tickets may be sold already."""

from checkout import operations, refund_operations
from checkout.models import Payment
from checkout.rules import Charge, Outcome


def settle_late(*, payment: Payment, known: Charge) -> None:
    """Settle a locked abandoned payment, inside the transaction that settles payments.

    If the gateway charged, sell the tickets, or refund the money if they cannot be sold. If it did not charge, the
    payment fails.
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
