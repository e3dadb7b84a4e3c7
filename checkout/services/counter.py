"""Sales at the counter, for cash or free. The tickets are made at once, without a gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checkout import operations, selectors
from checkout.models import CounterSale
from checkout.order_rules import FormSold, NothingChosen, PriceChanged
from overlord.accounts import operations as accounts
from overlord.kernel import db, money
from overlord.kernel.errors import DomainError
from tickets import counter_operations
from tickets import operations as tickets


@dataclass(frozen=True, kw_only=True)
class CounterSold:
    """The order of a sale at the counter. `replayed` tells whether an earlier request of the same form sold it."""

    order_id: int
    replayed: bool


def counter_sell(
    *,
    staff_id: int,
    event_id: int,
    quantities: Mapping[int, int],
    is_free: bool,
    price: str | None,
    email: str,
    name: str,
    key: str,
) -> CounterSold:
    """Sell tickets of an event for cash that staff have taken, or give them free, all or none.

    `price` is the total that staff saw. For free tickets, it is not checked. `key` names the form, so that a
    form sells only once. If `email` is not empty, the tickets are sent there. Raise NothingChosen, PriceChanged,
    FormSold if the form sold something else before, and the errors of `order_claim_at_counter`.
    """
    if not quantities:
        raise NothingChosen()
    with db.transaction():
        db.rows("SELECT pg_advisory_xact_lock(hashtextextended('checkout.counter', hashtext(%s)))", [key])
        earlier = selectors.counter_sale(key=key)
        if earlier is not None:
            asked = (event_id, quantities, is_free, email, name)
            return CounterSold(order_id=_sold_before(*earlier, asked=asked), replayed=True)
        buyer_id = accounts.guest_add(email=email, name=name)
        order, now = counter_operations.order_claim_at_counter(
            buyer_id=buyer_id, event_id=event_id, quantities=quantities
        )
        total = sum(each.total_minor for each in order)
        if not is_free and price != money.to_text(total, order[0].currency):
            raise PriceChanged()
        tickets.order_sell(reservations=order, is_free=is_free, now=now)
        operations.counter_payment_open(
            order=order, event_id=event_id, staff_id=staff_id, is_free=is_free, key=key, now=now
        )
    return CounterSold(order_id=order[0].pk, replayed=False)


def counter_refusals(*, quantities: Mapping[int, int]) -> dict[int, DomainError]:
    """Return, by ticket type, the reason why its quantity cannot be sold at the counter now.

    Types that can be sold are left out.
    """
    found = {
        ticket_type: counter_operations.claim_refused(ticket_type=ticket_type, quantity=quantity)
        for ticket_type, quantity in quantities.items()
    }
    return {ticket_type: refused for ticket_type, refused in found.items() if refused is not None}


def _sold_before(sale: CounterSale, quantities: Mapping[int, int], *, asked: tuple[Any, ...]) -> int:
    """Return the id of the order that a form sold before; raise FormSold if the form asks for something else now.

    This happens when staff go back in the browser: they see the form of the last buyer again, and fill it in for
    the next one. `asked` has the values in the order of the comparison below.
    """
    buyer = sale.payment.buyer
    if asked != (sale.event_id, quantities, sale.is_free, buyer.contact_email, buyer.contact_name):
        raise FormSold()
    return sale.payment.reservation_id
