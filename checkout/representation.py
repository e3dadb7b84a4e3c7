"""How a payment looks to its buyer, by HTTP and on sockets alike."""

from typing import Any

from checkout import rules
from checkout.models import Payment
from overlord.kernel import money


def payment(paid: Payment) -> dict[str, Any]:
    """Return a payment as clients see it. `amount` and `currency` are what was charged, null until then."""
    price = money.to_text(paid.amount_minor, paid.currency)
    is_charged = paid.status in rules.CHARGED
    return {
        "id": paid.pk,
        "reservation": paid.reservation_id,
        "full_price": price,
        "amount": price if is_charged else None,
        "currency": paid.currency if is_charged else None,
        "payment_status": rules.shown_status(paid.status),
        "error": paid.error,
        "requires_action": paid.requires_action,
        "created": paid.created,
        "version": paid.version,
    }
