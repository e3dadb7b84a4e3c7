"""Send the mails of lines: one for each entry to which a line gave tickets.

This runs in the upkeep worker. Opening a mail does not count as a look at the tickets.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from overlord.kernel import db, mail_attempts
from overlord.shop import formats, look
from overlord.shop.languages import spoken
from tickets.line.models import Entry, TurnNotice
from tickets.models import Event, Reservation

AT_ONCE = 500
AGAIN = timedelta(seconds=10)  # between two attempts, until the mail is sent or its hold has ended


def turn_notices_send() -> int:
    """Send the mails about turns that are due; return how many were sent. One process sends at a time."""
    with db.advisory_lock("tickets.line.mails") as lock:
        if not lock.is_mine():
            return 0
        due = TurnNotice.objects.filter(next_look_at__lte=db.now()).order_by("next_look_at")
        return sum(_send(pk) for pk in list(due.values_list("pk", flat=True)[:AT_ONCE]))


def _send(pk: int) -> bool:
    """Send one mail and return whether it was sent.

    The mail is leased before it is sent, and marked as sent afterwards. If the process dies in between, the mail is
    sent again with the same Message-ID, by which mail programs recognise it.
    """
    with db.transaction():
        notice = TurnNotice.objects.select_for_update(no_key=True).get(pk=pk)
        notice.attempts += 1
        notice.next_look_at = db.now() + mail_attempts.LEASE
        notice.save(update_fields=["attempts", "next_look_at"])
    sent_at, again = None, None
    with mail_attempts.attempt(notice) as made:
        message = _mail(notice, now=db.now())
        if message is not None:
            message.send()
            sent_at = db.now()
    if isinstance(made.error, OSError):
        again = db.now() + AGAIN
    TurnNotice.objects.filter(pk=pk).update(sent_at=sent_at, next_look_at=again)
    return sent_at is not None


def _mail(notice: TurnNotice, *, now: datetime) -> EmailMessage | None:
    """Return the mail, or None if the buyer has no address or nothing to pay for any more."""
    entry = notice.entry
    if entry.order_id is None:
        return None
    held = Reservation.objects.select_related("ticket_type__event", "buyer").filter(
        pk=entry.order_id, state=Reservation.State.HELD, expires_at__gt=now
    )
    order = held.exclude(ticket_type__event__status=Event.Status.CANCELLED).first()
    if order is None or not order.buyer.mail_address:
        return None
    with spoken(order.buyer.language):
        return _turn_mail(entry, order)


def _turn_mail(entry: Entry, order: Reservation) -> EmailMessage:
    event = order.ticket_type.event
    facts = {
        "buyer": order.buyer,
        "event": event,
        "until": formats.date_time(order.expires_at, event.time_zone),
        "look_by": formats.time_to_the_second(entry.look_by or order.expires_at, event.time_zone),
        "is_looked_at": entry.looked_at is not None,
        "link": f"{settings.BASE_URL}{reverse('line', args=[event.pk])}",
    }
    return EmailMessage(
        subject=_("It is your turn: %(name)s") % {"name": " ".join(event.name.split())},
        body=render_to_string("line/turn.txt", facts),
        to=[order.buyer.mail_address],
        **look.envelope(),
        headers={"Message-ID": f"<turn-{entry.pk}-{order.created.timestamp()}@ticket-overlord>"},
    )
