"""Claim tickets for a sale at the counter, inside an open transaction. `checkout` records the payment."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from overlord.kernel import db
from overlord.kernel.errors import Busy, DomainError
from tickets import operations, rules, selectors, sql
from tickets.models import Reservation, TicketType
from tickets.rules import UnknownTicketType

NOBODY = 0  # the id of no buyer
HOLD = timedelta(minutes=1)  # any time would do: the transaction that claims the tickets also sells them


def order_claim_at_counter(
    *, buyer_id: int, event_id: int, quantities: Mapping[int, int]
) -> tuple[list[Reservation], datetime]:
    """Hold tickets for a new buyer, all or none; return the order's reservations and `now`.

    `quantities` has the number of tickets by ticket type. Tickets of hidden types, and of events for accounts only,
    can be claimed too. Sale state, capacity and the limit per person apply as for all buyers. Raise Invalid, Busy,
    UnknownTicketType, or an error of `rules.refusal`. The facts of the last two contain the ticket type.
    """
    db.transaction_required()
    rules.check_items(list(quantities))
    known = set(TicketType.objects.filter(event_id=event_id, pk__in=quantities).values_list("pk", flat=True))
    for ticket_type in quantities:
        if ticket_type not in known:
            raise UnknownTicketType(ticket_type=ticket_type)
    operations.due_holds_make_room(event_id=event_id, ticket_types=quantities.keys(), now=db.now())
    claimed = db.rows(
        sql.CLAIM_BY_STAFF,
        {
            "buyer": buyer_id,
            "ticket_types": list(quantities),
            "quantities": list(quantities.values()),
            "hold_seconds": HOLD.total_seconds(),
        },
    )
    refused = next((row["refused"] for row in claimed if row["refused"] is not None), None)
    if refused is not None or not claimed:
        ticket_type = refused or next(iter(quantities))
        raise (
            claim_refused(buyer_id=buyer_id, ticket_type=ticket_type, quantity=quantities[ticket_type])
            or Busy()
        )
    lead = claimed[0]["lead_id"] or claimed[0]["reservation_id"]
    return operations.order_lock(order_id=lead)


def claim_refused(*, ticket_type: int, quantity: int, buyer_id: int = NOBODY) -> DomainError | None:
    """Return the reason why tickets of a type cannot be sold at the counter now, or None if there is none."""
    facts = selectors.claim_facts(buyer_id=buyer_id, ticket_type=ticket_type)
    if facts is None:
        return UnknownTicketType(ticket_type=ticket_type)
    found = rules.refusal(replace(facts, hidden=False), quantity=quantity)
    if found is not None:
        found.facts["ticket_type"] = ticket_type
    return found
