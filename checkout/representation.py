"""How a payment looks to its buyer, by HTTP and on sockets alike."""

from collections.abc import Sequence
from typing import Any

from checkout import price_rules, rules
from checkout.models import Payment
from overlord.kernel import money


def payment(paid: Payment, order: Sequence[rules.Line]) -> dict[str, Any]:
    """Return a payment of an order as clients see it. `amount` and `currency` are null until it is charged.

    `order` is all reservations of the order; `reservations` are those that the payment is for.
    """
    price = price_rules.price_minor(paid.status, order, amount_minor=paid.amount_minor)
    is_charged = paid.status in rules.CHARGED
    return {
        "id": paid.pk,
        "reservation": paid.reservation_id,
        "reservations": [each.pk for each in rules.lines_paid(paid.status, order)],
        "full_price": money.to_text(price, paid.currency),
        "amount": money.to_text(paid.amount_minor, paid.currency) if is_charged else None,
        "currency": paid.currency if is_charged else None,
        "payment_status": rules.shown_status(paid.status),
        "error": paid.error,
        "requires_action": paid.requires_action,
        "created": paid.created,
        "version": paid.version,
    }
