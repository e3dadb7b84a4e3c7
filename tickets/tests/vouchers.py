"""Make vouchers and claim with them: for the tests of this app and of the apps above."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from tickets import order_services
from tickets.models import Event, TicketType, Voucher
from tickets.order_services import Wanted
from tickets.tests.reserving import HOLD, RESERVATIONS

# The vouchers whose count of uses differs from the reservations or is above the limit.
VOUCHERS_WRONG = """
SELECT v.id, v.most_uses, v.used, r.used AS really_used FROM tickets_voucher v, LATERAL (
    SELECT COALESCE(sum(quantity), 0) AS used FROM tickets_reservation
     WHERE voucher_id = v.id AND state IN ('held', 'paying', 'validated')) r
 WHERE v.used <> r.used OR v.used > v.most_uses
"""


def voucher_make(
    event: Event, text: str = "SPRING", types: Sequence[TicketType] = (), **fields: Any
) -> Voucher:
    """Make a voucher of 10 % off for all types, or for the given ones; `fields` change it."""
    given = {
        "price_rule": "percent",
        "price_value": 10,
        "opens_early": False,
        "all_types": not types,
        "created": timezone.now(),
        **fields,
    }
    made = Voucher.objects.create(event=event, text=text, **given)
    made.ticket_types.set(types)
    return made


def reserve_with(api: APIClient, ticket_type: TicketType, code: Any, amount: int = 1, **headers: str) -> Any:
    """Claim tickets with a code by the API; return the answer."""
    body = {"ticket_type": ticket_type.pk, "amount": amount, "code": code}
    return api.post(RESERVATIONS, body, format="json", headers=headers)


def claim_with(buyer_id: int, code: str, *types: TicketType, quantity: int = 1) -> order_services.Ordered:
    """Claim tickets of these types with a code by the service."""
    return order_services.order_claim(
        buyer_id=buyer_id,
        items=[Wanted(ticket_type=each.pk, quantity=quantity) for each in types],
        order_id=None,
        key=None,
        hold=HOLD,
        now=timezone.now(),
        code=code,
    )
