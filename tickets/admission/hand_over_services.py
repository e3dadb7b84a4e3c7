"""Use cases of tickets that are handed over. Transactions open here, as in `services`.

A person with the link of an order counts as its buyer here, and a person with the link of a ticket as its holder,
because a link shows the codes anyway. A mail tells the earlier holder that a ticket was handed over.
"""

from datetime import datetime
from typing import Any

from overlord.kernel import db, rate_limits
from overlord.kernel.errors import NotFound
from overlord.kernel.rate_limits import Limit
from tickets import selectors as tickets
from tickets.admission import operations, projections, rules, selectors, services
from tickets.admission.models import HandOverNotice, Ticket
from tickets.admission.selectors import Reach

HAND_OVER_BY_BUYER = Limit(name="hand-over-order", amount=30, seconds=3600)  # of all tickets of an order
HAND_OVER_BY_HOLDER = Limit(name="hand-over-ticket", amount=30, seconds=3600)


def reach_of_buyer(*, buyer_id: int, reservation_id: int, ticket_id: int) -> Reach:
    """Return the reach of a ticket's buyer: all tickets of the order. Raise NotFound for another buyer's ticket."""
    order_id = tickets.order_id_of(buyer_id=buyer_id, reservation_id=reservation_id)
    if order_id is None or not selectors.is_of(reservation_id=reservation_id, ticket_id=ticket_id):
        raise NotFound()
    return Reach(order_id=order_id)


def ticket_rename(
    *, reach: Reach, ticket_id: int, holder: str, seen: int | None, now: datetime
) -> dict[str, Any]:
    """Set the name of the person who comes with a ticket; an empty `holder` removes the name.

    Return the ticket as the API shows it.

    `seen` is the issue that the person saw, or None. Raise NotFound, Invalid, TicketHandedOver, and what
    `check_changeable` raises.
    """
    name = rules.holder_read(holder)
    with db.transaction():
        ticket = _locked(reach, ticket_id)
        rules.check_changeable(state=ticket.state, issue=ticket.issue, seen=seen)
        if ticket.handed_to and reach.only is None:
            raise rules.TicketHandedOver()
        operations.ticket_rename(ticket=ticket, holder=name)
    projections.announce_door(event_id=ticket.event_id)
    return _shown(reach, ticket_id, now=now)


def ticket_hand_over(
    *, reach: Reach, ticket_id: int, email: str, holder: str, seen: int | None, now: datetime
) -> dict[str, Any]:
    """Give a ticket to an e-mail address, which may be the buyer's own; return the ticket as the API shows it.

    The ticket gets a new code, and its earlier code opens nothing. Mails go to the new holder and to those who had
    the ticket before. `holder` and `seen` are as in `ticket_rename`. Raise NotFound, Invalid, TooMany,
    HandedTooOften, and what `check_changeable` raises.
    """
    name = rules.holder_read(holder)
    if reach.only is None:
        rate_limits.count(HAND_OVER_BY_BUYER, reach.order_id)
    else:  # counted apart from the buyer, so that a holder cannot use up the buyer's limit
        rate_limits.count(HAND_OVER_BY_HOLDER, reach.only)
    with db.transaction():
        ticket = _locked(reach, ticket_id)
        rules.check_changeable(state=ticket.state, issue=ticket.issue, seen=seen)
        if ticket.issue >= rules.MOST_ISSUES:
            raise rules.HandedTooOften()
        buyer = ticket.reservation.buyer.mail_address
        is_back = email.casefold() == buyer.casefold()
        issue = operations.ticket_hand_over(ticket=ticket, handed_to="" if is_back else email, holder=name)
        _tell(ticket, issue=issue, to=email, buyer=buyer, by_holder=reach.only is not None, now=now)
    projections.announce_door(event_id=ticket.event_id)
    return _shown(reach, ticket_id, now=now)


def _locked(reach: Reach, ticket_id: int) -> Ticket:
    ticket = operations.ticket_lock(order_id=reach.order_id, ticket_id=ticket_id)
    selectors.check_reach(reach, ticket)
    return ticket


def _tell(ticket: Ticket, *, issue: int, to: str, buyer: str, by_holder: bool, now: datetime) -> None:
    """Owe mails to the new holder, to the person who handed the ticket over, and to an earlier holder."""
    kind = HandOverNotice.Kind
    mails = {kind.GIVEN: ticket.handed_to if by_holder else buyer}
    if ticket.handed_to and not by_holder:
        mails[kind.WITHDRAWN] = ticket.handed_to
    told = {each: address for each, address in mails.items() if address.casefold() != to.casefold()}
    HandOverNotice.objects.bulk_create(
        HandOverNotice(ticket=ticket, issue=issue, kind=each, to=address, created=now, next_look_at=now)
        for each, address in {kind.RECEIVED: to, **told}.items()
        if address not in ("", Ticket.NOBODY)
    )


def _shown(reach: Reach, ticket_id: int, *, now: datetime) -> dict[str, Any]:
    rows = [row for row in selectors.tickets_of_order(order_id=reach.order_id) if row["id"] == ticket_id]
    [shown] = services.tickets_coded(rows, now=now, as_holder=False)
    return shown
