"""How a payment looks to its buyer: one shape, for HTTP and sockets alike."""

from typing import Any

from checkout import rules
from checkout.models import Payment
from overlord.kernel import money

CHARGED = ("SUCCESS", "REFUNDING", "REFUNDED")


def payment(paid: Payment) -> dict[str, Any]:
    """Will show a payment. `amount` and `currency` are what was charged: null until something was."""
    price = money.to_text(paid.amount_minor, paid.currency)
    charged = paid.status in CHARGED
    return {
        "id": paid.pk,
        "reservation": paid.reservation_id,
        "full_price": price,
        "amount": price if charged else None,
        "currency": paid.currency if charged else None,
        "payment_status": rules.SHOWN_AS.get(paid.status, paid.status),
        "error": paid.error,
        "requires_action": paid.requires_action,
        "created": paid.created,
        "version": paid.version,
    }
