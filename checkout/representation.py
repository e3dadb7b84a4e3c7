"""How a payment looks to its buyer, by HTTP and on sockets alike, and a refund to staff."""

from collections.abc import Sequence
from typing import Any

from checkout import price_rules, rules
from checkout.models import Payment, Refund
from overlord.kernel import money


def payment(paid: Payment, order: Sequence[rules.Line], *, refunded_minor: int) -> dict[str, Any]:
    """Return a payment of an order as clients see it. Its amounts and `currency` are null until it is charged.

    `order` is all reservations of the order; `reservations` are those that the payment is for. `refunded_minor` has
    gone back to the buyer.
    """
    price = price_rules.price_minor(paid.status, order, amount_minor=paid.amount_minor)
    is_charged = paid.status in rules.CHARGED
    return {
        "id": paid.pk,
        "reservation": paid.reservation_id,
        "reservations": [each.pk for each in rules.lines_paid(paid.status, order)],
        "full_price": money.to_text(price, paid.currency),
        "amount": money.to_text(paid.amount_minor, paid.currency) if is_charged else None,
        "refunded": money.to_text(refunded_minor, paid.currency) if is_charged else None,
        "currency": paid.currency if is_charged else None,
        "payment_status": rules.shown_status(paid.status),
        "error": paid.error,
        "unanswered": paid.status == rules.PaymentStatus.ABANDONED,
        "requires_action": paid.requires_action,
        "created": paid.created,
        "version": paid.version,
    }


def refund(back: Refund, *, currency: str) -> dict[str, Any]:
    """Return a refund as staff see it, with what the gateway says when it refuses it."""
    return {
        "id": back.pk,
        "amount": money.to_text(back.amount_minor, currency),
        "return_tickets": back.return_tickets,
        "status": back.status,
        "error": back.error if back.status == rules.RefundStatus.FAILURE else "",
        "elsewhere": back.elsewhere,
        "created": back.created,
    }
