"""What a payment costs, and the price that its buyer was shown: decisions on plain values."""

import re
from collections.abc import Sequence
from decimal import Decimal

from checkout.rules import Line, PaymentStatus, ReservationState, lines_paid
from overlord.kernel import money
from overlord.kernel.errors import Conflict

PRICE = r"[0-9]{1,19}(\.[0-9]{1,4})?"  # as clients write one


class OrderChanged(Conflict):
    code = "order_changed"
    sentence = "The order no longer has the price that you were shown. You were not charged."


def price_minor(status: PaymentStatus | str, order: Sequence[Line], *, amount_minor: int) -> int:
    """Return the price of a payment in `status`: that of its holds before a try, and afterwards that of the try."""
    lines = lines_paid(status, order)
    is_open = status in (PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE)
    if is_open and all(each.state == ReservationState.HELD for each in lines):
        return sum(each.total_minor for each in lines)
    return amount_minor


def check_price(shown: str | None, totals_minor: Sequence[int], *, currency: str) -> None:
    """Raise OrderChanged, which names the price, when a buyer was shown another one than the sum of these totals.

    A buyer who was shown none accepts any.
    """
    price = money.to_text(sum(totals_minor), currency)
    if shown is not None and (re.fullmatch(PRICE, shown) is None or Decimal(shown) != Decimal(price)):
        raise OrderChanged(price=price, currency=currency)
