"""Owe and write the mails to the holders of tickets that were handed over, when the event is moved or cancelled.

These mails are recorded in the transaction of the first attempt at the mail to the ticket's buyer. So each of them
is owed once, however often the buyer's mail is tried. `mails` sends them, in the upkeep worker.
"""

from datetime import datetime
from typing import Any

from django.core.mail import EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from checkout.models import CancelledOrder
from checkout.services import moves
from overlord.kernel import db
from overlord.shop import formats, look
from tickets.admission.documents import order_calendar
from tickets.admission.models import HolderNotice, Ticket
from tickets.admission.selectors import reach_of_holder
from tickets.models import Event, MoveNotice
from tickets.selectors import reservations_of_order

Kind = HolderNotice.Kind


def holders_owe(owed: MoveNotice | CancelledOrder, *, now: datetime) -> None:
    """Owe the holder a mail for each ticket that the buyer's mail is about and that was handed over."""
    db.transaction_required()
    if isinstance(owed, MoveNotice):
        tickets = Ticket.objects.filter(event=owed.event_id, reservation__buyer=owed.buyer_id)
        tickets = tickets.exclude(state=Ticket.State.REVOKED)
        facts: dict[str, Any] = {
            "kind": Kind.MOVED,
            "date_before": owed.date_before,
            "time_zone_before": owed.time_zone_before,
            "venue_before": owed.venue_before,
            "address_before": owed.address_before,
        }
    else:
        order = owed.payment.reservation_id
        tickets = Ticket.objects.filter(reservation__in=reservations_of_order(order))
        tickets = tickets.filter(Q(revoked_at=None) | Q(revoked_at__gte=owed.cancellation.created))
        facts = {"kind": Kind.CANCELLED, "message": owed.cancellation.message}
    notices = [
        HolderNotice(ticket=ticket, issue=ticket.issue, created=now, next_look_at=now, **facts)
        for ticket in tickets.exclude(handed_to__in=["", Ticket.NOBODY]).order_by("pk")
    ]
    HolderNotice.objects.bulk_create(notices, ignore_conflicts=True)


def mail(notice: HolderNotice, *, now: datetime) -> EmailMessage | None:
    """Return the mail, or None if the holder no longer has the ticket or there is nothing left to tell."""
    ticket = notice.ticket
    if ticket.issue != notice.issue or ticket.handed_to in ("", Ticket.NOBODY):
        return None
    event = ticket.event
    name = " ".join(event.name.split())
    facts: dict[str, Any] = {
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "holder": ticket.holder,
        "ticket_type": ticket.reservation.ticket_type.name,
    }
    if notice.kind == Kind.MOVED:
        changes = moves.changes(event, notice)
        is_over = ticket.state == Ticket.State.REVOKED or event.status == Event.Status.CANCELLED
        if not changes or is_over:
            return None
        facts |= {"changes": changes}
        subject, template = _("New date or place: %(name)s"), "checkout/holder_moved.txt"
    else:
        facts |= {"message": notice.message}
        subject, template = _("Cancelled: %(name)s"), "checkout/holder_cancelled.txt"
    written = EmailMessage(
        subject=subject % {"name": name},
        body=render_to_string(template, facts),
        to=[ticket.handed_to],
        **look.envelope(),
        headers={"Message-ID": f"<holder-{notice.pk}-{notice.created.timestamp()}@ticket-overlord>"},
    )
    calendar = order_calendar(reach_of_holder(ticket), now=now)
    if calendar is not None:
        written.attach(calendar.name, calendar.content, calendar.kind)
    return written
