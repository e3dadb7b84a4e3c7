"""Write the mails about tickets that are handed over. `mails` sends them, in the upkeep worker."""

from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from checkout import selectors
from checkout.models import Payment
from overlord.shop import formats, look
from tickets.admission import selectors as admission
from tickets.admission.documents import order_documents
from tickets.admission.models import HandOverNotice, HolderNotice, Ticket

Kind = HandOverNotice.Kind


def payment_of(notice: HandOverNotice | HolderNotice) -> Payment | None:
    """Return the payment of the ticket's order, or None if no payment of the order succeeded."""
    return selectors.payment_charged(order_id=notice.ticket.reservation.order_id)


def mail(notice: HandOverNotice, *, now: datetime) -> EmailMessage | None:
    """Return the mail of a notice, or None if it is for a new holder who no longer has the ticket."""
    ticket = notice.ticket
    is_received = notice.kind == Kind.RECEIVED
    has_it = ticket.state != Ticket.State.REVOKED and ticket.issue == notice.issue
    if is_received and not has_it:
        return None
    event = ticket.event
    name = " ".join(event.name.split())
    facts = {
        "kind": notice.kind,
        "ticket_type": ticket.reservation.ticket_type.name,
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "holder": ticket.holder if is_received else "",
        "link": _link(ticket) if is_received else "",
    }
    subject = _("Your ticket for %(name)s") if is_received else _("Ticket handed over: %(name)s")
    written = EmailMessage(
        subject=subject % {"name": name},
        body=render_to_string("checkout/handed_over.txt", facts),
        to=[notice.to],
        **look.envelope(),
        headers={"Message-ID": f"<hand-over-{notice.pk}-{notice.created.timestamp()}@ticket-overlord>"},
    )
    if is_received:
        for document in order_documents(admission.reach_of_holder(ticket), now=now):
            written.attach(document.name, document.content, document.kind)
    return written


def _link(ticket: Ticket) -> str:
    """Return the link to the ticket's page, or to the order's page if the ticket went back to the buyer."""
    if ticket.handed_to:
        signed = admission.ticket_link(ticket_id=ticket.pk, issue=ticket.issue)
    else:
        signed = admission.order_link(order_id=ticket.reservation.order_id)
    return f"{settings.BASE_URL}{reverse('tickets_shown', args=[signed])}"
