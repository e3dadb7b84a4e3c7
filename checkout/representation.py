"""How a payment looks to its buyer, in HTTP answers and on streams, and how a refund looks to staff."""

from collections.abc import Sequence
from typing import Any

from checkout import price_rules, rules
from checkout.models import Payment, Refund
from overlord.kernel import money


def payment(
    row: Payment, order: Sequence[rules.OrderedReservation], *, refunded_minor: int
) -> dict[str, Any]:
    """Return a payment as clients see it. Before the charge, `amount`, `refunded` and `currency` are None.

    `order` has all reservations of the order. In the result, `reservations` has those that the payment is for.
    `refunded_minor` is the money that has gone back to the buyer.
    """
    price = price_rules.price_minor(row.status, order, amount_minor=row.amount_minor)
    is_charged = row.status in rules.CHARGED
    return {
        "id": row.pk,
        "reservation": row.reservation_id,
        "reservations": [each.pk for each in rules.reservations_paid_for(row.status, order)],
        "full_price": money.to_text(price, row.currency),
        "amount": money.to_text(row.amount_minor, row.currency) if is_charged else None,
        "refunded": money.to_text(refunded_minor, row.currency) if is_charged else None,
        "currency": row.currency if is_charged else None,
        "payment_status": rules.shown_status(row.status),
        "error": row.error,
        "unanswered": row.status == rules.PaymentStatus.ABANDONED,
        "requires_action": row.requires_action,
        "created": row.created,
        "version": row.version,
    }


def refund(row: Refund, *, currency: str) -> dict[str, Any]:
    """Return a refund as staff see it. `error` is the gateway's reason, if it refused the refund."""
    return {
        "id": row.pk,
        "amount": money.to_text(row.amount_minor, currency),
        "return_tickets": row.return_tickets,
        "status": row.status,
        "error": row.error if row.status == rules.RefundStatus.FAILURE else "",
        "elsewhere": row.elsewhere,
        "created": row.created,
    }
