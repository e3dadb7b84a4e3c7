"""Steps on tickets, scans, keys and links inside an open transaction, for this app's services and for checkout.

The trigger of `sql/admission_reservation_changed.sql` makes tickets, and revokes them when their reservation ends.
A ticket is locked after its reservation. A transaction that has locked a ticket waits only for other tickets.
"""

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import F

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission import keys, projections, selectors, sql
from tickets.admission.links import Link, Subject
from tickets.admission.models import Key, Scan, Ticket
from tickets.admission.rules import NotAdmitted, ScanResult, TicketState


def key_make(*, event_id: int, now: datetime) -> Key:
    """Make a new key for the codes of an event, and tell its doors. Codes that other keys signed stay valid."""
    db.transaction_required()
    db.after_commit(partial(projections.announce_door, event_id=event_id))
    salt = keys.salt_make()
    return Key.objects.create(event_id=event_id, salt=salt, public_key=keys.public_key(salt), created=now)


def keys_retire(*, event_id: int, now: datetime) -> int:
    """Retire an event's present keys, so that codes signed by them no longer open anything; return how many."""
    db.transaction_required()
    return Key.objects.filter(event_id=event_id, retired_at=None).update(retired_at=now)


def tickets_revoke(*, order_id: int, now: datetime) -> int:
    """Revoke the tickets of an order whose money was refunded in full; return how many."""
    db.transaction_required()
    of_order = Ticket.objects.filter(reservation__in=tickets.reservations_of_order(order_id))
    standing = of_order.exclude(state=TicketState.REVOKED)
    for event_id in standing.order_by().values_list("event_id", flat=True).distinct():
        db.after_commit(partial(projections.announce_door, event_id=event_id))
    tickets_announce(order_id=order_id)
    return standing.update(state=TicketState.REVOKED, revoked_at=now, changed=sql.CHANGED_NOW)


def tickets_announce(*, order_id: int) -> None:
    """Tell the open pages of an order's tickets, after the commit, that the tickets changed."""
    db.transaction_required()
    seen_by = selectors.links_of_order(order_id=order_id)
    db.after_commit(partial(projections.announce_tickets, seen_by=seen_by))


def event_tickets_revoke(*, event_id: int, most: int, now: datetime) -> int:
    """Revoke at most `most` tickets of a cancelled event; return how many."""
    db.transaction_required()
    standing = Ticket.objects.filter(event_id=event_id).exclude(state=TicketState.REVOKED).order_by("pk")
    found = list(standing.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True)[:most])
    if found:
        db.after_commit(partial(projections.announce_door, event_id=event_id))
    changed = {"state": TicketState.REVOKED, "revoked_at": now, "changed": sql.CHANGED_NOW}
    return Ticket.objects.filter(pk__in=found).update(**changed)


def admission_undo(*, scan_id: UUID, actor_id: int, now: datetime) -> int:
    """Undo the admission that a scan made, unless it is undone already; return the id of the scan's row.

    Raise NotFound or NotAdmitted.
    """
    db.transaction_required()
    scan = Scan.objects.filter(scan_id=scan_id).first()
    if scan is None:
        raise NotFound()
    if scan.result != ScanResult.ADMITTED or scan.ticket_id is None:
        raise NotAdmitted()
    Ticket.objects.select_for_update(no_key=True).get(pk=scan.ticket_id)
    if Scan.objects.filter(pk=scan.pk, undone_at=None).update(undone_at=now, undone_by_id=actor_id):
        Ticket.objects.filter(pk=scan.ticket_id, state=TicketState.ADMITTED).update(
            state=TicketState.VALID, admitted_at=None, admitted_gate="", changed=sql.CHANGED_NOW
        )
        ticket = Ticket.objects.select_related("reservation").get(pk=scan.ticket_id)
        tickets_announce(order_id=ticket.reservation.order_id)
    return scan.pk


def ticket_lock(*, order_id: int, ticket_id: int) -> Ticket:
    """Lock and return a ticket of an order; raise NotFound."""
    db.transaction_required()
    of_order = Ticket.objects.filter(reservation__in=tickets.reservations_of_order(order_id), pk=ticket_id)
    found = of_order.select_for_update(no_key=True, of=("self",)).first()
    if found is None:
        raise NotFound()
    return found


def ticket_rename(*, ticket: Ticket, holder: str) -> None:
    """Set the name of the person who comes with a locked ticket. Its code stays the same."""
    db.transaction_required()
    Ticket.objects.filter(pk=ticket.pk).update(holder=holder, changed=sql.CHANGED_NOW)
    tickets_announce(order_id=ticket.reservation.order_id)


def ticket_hand_over(*, ticket: Ticket, handed_to: str, holder: str) -> int:
    """Give a locked ticket to the e-mail address `handed_to`, or back to the buyer for ""; return its new issue.

    The ticket gets a new serial and a new code. The earlier ones open nothing from then on.
    """
    db.transaction_required()
    # The announcement comes first, because the link of the earlier holder ends below.
    tickets_announce(order_id=ticket.reservation.order_id)
    Ticket.objects.filter(pk=ticket.pk).update(
        handed_to=handed_to,
        holder=holder,
        issue=F("issue") + 1,
        serial=sql.NEW_SERIAL,
        changed=sql.CHANGED_NOW,
    )
    db.after_commit(partial(projections.announce_door, event_id=ticket.event_id))
    return ticket.issue + 1


def order_link_renew(*, order_id: int) -> None:
    """Revoke the present link to an order's tickets. From then on the link with the next number works."""
    db.transaction_required()
    [row] = db.rows(sql.LINK_RENEW, [order_id])
    ended = Link(subject=Subject.ORDER, id=order_id, number=row["number"] - 1)
    db.after_commit(partial(projections.announce_tickets, seen_by=[ended]))
