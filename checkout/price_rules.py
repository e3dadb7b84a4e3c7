"""What a payment costs, and what its buyer was shown of the order: decisions on plain values."""

import re
from collections.abc import Sequence
from decimal import Decimal

from checkout.rules import OrderedReservation, PaymentStatus, ReservationState, reservations_paid_for
from overlord.kernel import money
from overlord.kernel.errors import Conflict

PRICE = r"[0-9]{1,19}(\.[0-9]{1,4})?"  # as clients write a price


class OrderChanged(Conflict):
    code = "order_changed"
    sentence = "The price of the order has changed since you opened the page. You were not charged."


class EventMoved(Conflict):
    code = "event_moved"
    sentence = (
        "The event has changed since you opened the page. You were not charged. Check the date and the place,"
        " then pay."
    )


def price_minor(
    status: PaymentStatus | str, order: Sequence[OrderedReservation], *, amount_minor: int
) -> int:
    """Return the price of a payment in `status`, in minor units.

    If nobody has tried to pay yet, or the latest try failed and the order has holds, this is the present price of
    what the next try pays for. Otherwise it is `amount_minor`, the price of the latest try.
    """
    reservations = reservations_paid_for(status, order)
    are_held = all(each.state == ReservationState.HELD for each in reservations)
    if status == PaymentStatus.NOT_STARTED or (status == PaymentStatus.FAILURE and are_held):
        return sum(each.total_minor for each in reservations)
    return amount_minor


def check_price(shown: str | None, totals_minor: Sequence[int], *, currency: str) -> None:
    """Raise OrderChanged unless `shown`, the price that a buyer saw, is the sum of `totals_minor`.

    `shown` is a decimal string such as "15.00"; None: the buyer accepts every price. The error names the present
    price.
    """
    price = money.to_text(sum(totals_minor), currency)
    if shown is not None and (re.fullmatch(PRICE, shown) is None or Decimal(shown) != Decimal(price)):
        raise OrderChanged(price=price, currency=currency)


def check_event(shown: int | None, calendar_version: int) -> None:
    """Raise EventMoved if the event has another calendar version than a buyer was shown.

    If `shown` is None, the buyer accepts every date and place.
    """
    if shown not in (None, calendar_version):
        raise EventMoved()
