"""Send the mails to buyers and holders, in the upkeep worker.

They are receipts, and notices of refunds, of moved and cancelled events, and of tickets that were handed over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import QuerySet, prefetch_related_objects
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from checkout import operations, rules, selectors, sql
from checkout.models import CancelledOrder, Incident, Payment, Receipt, RefundNotice
from checkout.rules import PaymentStatus, RefundStatus
from checkout.services import hand_over_mails, holder_mails, moves
from overlord.accounts.models import User
from overlord.kernel import db, mail_attempts, money
from overlord.shop import formats, look
from overlord.shop.languages import spoken
from tickets import selectors as tickets
from tickets import voucher_labels
from tickets.admission import selectors as admission
from tickets.admission.documents import documents_of, order_calendar, order_shown
from tickets.admission.models import HandOverNotice, HolderNotice
from tickets.admission.selectors import Reach
from tickets.models import Event, MoveNotice, Reservation

Owed = Receipt | RefundNotice | MoveNotice | HandOverNotice | CancelledOrder | HolderNotice
# The kinds of mails in one pass. The mails to holders come second, because the first attempt at a mail to a buyer
# makes them due.
KINDS: tuple[tuple[type[Owed], ...], ...] = (
    (Receipt, RefundNotice, MoveNotice, HandOverNotice, CancelledOrder),
    (HolderNotice,),
)

AT_ONCE = 500
ATTEMPTS = 12  # at one mail, with growing pauses, within some minutes; then staff are told


def mails_send() -> int:
    """Send the mails that are due; return how many were sent. Only one process sends at a time.

    One process is enough, and while the mail server hangs, no second thread waits for it.
    """
    with db.advisory_lock("checkout.receipts") as lock:
        if not lock.is_mine():
            return 0
        connection = get_connection()
        try:
            return sum(_send_due(kinds, connection) for kinds in KINDS)
        finally:
            connection.close()


def _send_due(kinds: Sequence[type[Owed]], connection: BaseEmailBackend) -> int:
    now = db.now()
    due = selectors.to_look_after(dict.fromkeys(kinds, AT_ONCE), now=now)
    return sum(_send(model, pk, connection, now=now) for model, found in due.items() for pk in found)


def _send(model: type[Owed], pk: int, connection: BaseEmailBackend, *, now: datetime) -> bool:
    """Send one mail and return whether it was sent.

    The mail is leased before it is sent, and marked as sent afterwards. If the process dies in between, the mail is
    sent again with the same Message-ID, by which mail programs recognise it.
    """
    owed = _take(model, pk)
    if owed is None:
        return False  # no longer owed, or locked: then a later pass sends it
    if isinstance(owed, Receipt):
        owed.payment = selectors.payment_with_buyer(payment_id=owed.payment_id)
    is_sent = False
    with mail_attempts.attempt(owed) as made:
        with spoken(_buyer_of(owed).language):
            message = _mail(owed, now=now)
        if message is not None and message.recipients():  # a buyer at the counter may have given no address
            connection.open()  # does nothing if it is open already
            connection.send_messages([message])
            is_sent = True
    if made.error is None:
        db.statement(sql.mail_done(model), {"pk": pk, "attempts": owed.attempts, "sent": is_sent})
    elif isinstance(made.error, OSError):
        _try_later(owed)
        connection.close()  # so that the next mail opens a new connection
    else:
        with db.transaction():
            _give_up(owed)
    return is_sent


def _take(model: type[Owed], pk: int) -> Owed | None:
    """Lease a mail, count the attempt, and return the mail, or None if it is not owed now or is locked.

    The first attempt at a mail to a buyer about a moved or cancelled event also owes the mails to holders.
    """
    if model not in (MoveNotice, CancelledOrder):
        db.autocommit_required()
        return operations.mail_take(model, pk=pk, lease=mail_attempts.LEASE)
    with db.transaction():
        owed: Owed | None = operations.mail_take(model, pk=pk, lease=mail_attempts.LEASE)
        if isinstance(owed, MoveNotice | CancelledOrder) and owed.attempts == 1:
            holder_mails.holders_owe(owed, now=db.now())
    return owed


def _try_later(owed: Owed) -> None:
    with db.transaction():
        if owed.attempts >= ATTEMPTS:
            _give_up(owed)
        else:
            again = db.now() + rules.look_again_after(owed.attempts)
            _row_of_try(owed).update(next_look_at=again)


def _give_up(owed: Owed) -> None:
    """Stop trying to send a mail. If a payment belongs to it, show staff an incident."""
    if not _row_of_try(owed).update(next_look_at=None):
        return
    payment, detail = _incident_of(owed)
    if payment is None:
        return
    operations.incident_open(payment=payment, cause=Incident.Cause.STUCK, now=db.now(), detail=detail)


def _row_of_try(owed: Owed) -> QuerySet[Owed]:
    """Select the row of a mail, unless staff or another worker have changed its attempts since this one began."""
    return type(owed)._default_manager.filter(pk=owed.pk, attempts=owed.attempts)


def _incident_of(owed: Owed) -> tuple[Payment | None, str]:
    """Return the payment that a mail is about, if there is one, and the text that names the mail in an incident."""
    if isinstance(owed, Receipt):
        return owed.payment, "its receipt"
    if isinstance(owed, RefundNotice):
        return owed.payment, f"the notice of refund {owed.pk}"
    if isinstance(owed, HandOverNotice | HolderNotice):
        return hand_over_mails.payment_of(owed), f"the {owed}"
    if isinstance(owed, CancelledOrder):
        return owed.payment, f"the {owed}"
    paid = selectors.payments_of_attendee(buyer_id=owed.buyer_id, event_id=owed.event_id)
    return paid[0] if paid else None, f"the {owed}"


def _buyer_of(owed: Owed) -> User:
    """Return the buyer of the order that a mail is about. Mails are in the buyer's language, also to holders."""
    if isinstance(owed, HandOverNotice | HolderNotice):
        return owed.ticket.reservation.buyer
    return owed.buyer if isinstance(owed, MoveNotice) else owed.payment.buyer


def _mail(owed: Owed, *, now: datetime) -> EmailMessage | None:
    """Return the mail, or None when there is nothing left to tell."""
    if isinstance(owed, Receipt):
        return _receipt_mail(owed, now=now)
    if isinstance(owed, HandOverNotice):
        return hand_over_mails.mail(owed, now=now)
    if isinstance(owed, HolderNotice):
        return holder_mails.mail(owed, now=now)
    if isinstance(owed, CancelledOrder):
        return _cancelled_mail(owed, now=now)
    return _refund_mail(owed) if isinstance(owed, RefundNotice) else _move_mail(owed, now=now)


def _facts(payment: Payment) -> dict[str, Any]:
    """Return the facts of an order for a mail: event, date in the event's time zone, reservations and price."""
    order = tickets.orders([payment.reservation_id])[payment.reservation_id]
    event = order[0].ticket_type.event
    return {
        "payment": payment,
        "reservations": rules.reservations_paid_for(payment.status, order),
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "paid": _money(payment.amount_minor, payment.currency),
    }


def _receipt_mail(receipt: Receipt, *, now: datetime) -> EmailMessage | None:
    payment = receipt.payment
    shown = order_shown(Reach(order_id=payment.reservation_id), now=now)
    if not selectors.are_to_send(shown):
        return None  # the tickets were returned or refunded since, or the event was cancelled
    facts = _facts(payment)
    sold = [each for each in facts["reservations"] if each.state == Reservation.State.VALIDATED]
    facts |= _receipt_facts(payment, sold, facts["event"])
    documents = documents_of(shown, order_id=payment.reservation_id, now=now)
    # There are no documents if all tickets were handed over: then only the holders see the codes.
    facts["has_codes"] = bool(documents)
    # Mail programs hide a second mail with the same id.
    again = f"-{receipt.issue}" if receipt.issue > 1 else ""
    message = EmailMultiAlternatives(
        subject=_("Your tickets for %(name)s") % {"name": _one_line(facts)},
        body=render_to_string("checkout/receipt.txt", facts),
        to=[payment.buyer.mail_address],
        **look.envelope(),
        headers={
            "Message-ID": f"<receipt-{payment.pk}-{payment.created.timestamp()}{again}@ticket-overlord>"
        },
    )
    message.attach_alternative(render_to_string("checkout/receipt.html", facts), "text/html")
    for document in documents:
        message.attach(document.name, document.content, document.kind)
    return message


def _receipt_facts(payment: Payment, sold: Sequence[Reservation], event: Event) -> dict[str, Any]:
    """Return what only a receipt needs: the price of each reservation, the link to the tickets, and the seller."""
    shop = look.current()
    prefetch_related_objects([each for each in sold if each.voucher_id is not None], "voucher")
    paid_at = max(each.validated_at or payment.created for each in sold)
    link = reverse("tickets_shown", args=[admission.order_link(order_id=payment.reservation_id)])
    return {
        "lines": [
            {
                "quantity": each.quantity,
                "name": each.ticket_type.name,
                "total": _money(each.total_minor, each.currency),
                "code": voucher_labels.used(each),
            }
            for each in sold
        ],
        "paid_on": formats.date_time(paid_at, event.time_zone),
        "link": f"{settings.BASE_URL}{link}",
        "seller_name": shop.seller,
        "seller_address": shop.seller_address.splitlines(),
        "accent": shop.accent,
    }


def _refund_mail(notice: RefundNotice) -> EmailMessage:
    refund, payment = notice.refund, notice.payment
    paid_back = payment.refunds.filter(status=RefundStatus.SUCCESS).order_by("pk")
    last = paid_back.last()
    facts = {
        **_facts(payment),
        "refunded": _money(refund.amount_minor, payment.currency),
        "is_whole": payment.status == PaymentStatus.REFUNDED and last is not None and last.pk == refund.pk,
        "is_late": refund.requested_by_id is None,
        "are_valid": selectors.has_tickets_to_send(order_id=payment.reservation_id),
    }
    return EmailMessage(
        subject=_("Your refund for %(name)s") % {"name": _one_line(facts)},
        body=render_to_string("checkout/refund.txt", facts),
        to=[payment.buyer.mail_address],
        **look.envelope(),
        headers={"Message-ID": f"<refund-{refund.pk}-{refund.created.timestamp()}@ticket-overlord>"},
    )


def _move_mail(notice: MoveNotice, *, now: datetime) -> EmailMessage | None:
    paid = selectors.payments_of_attendee(buyer_id=notice.buyer_id, event_id=notice.event_id)
    changes = moves.changes(notice.event, notice)
    if not paid or not changes or notice.event.status == Event.Status.CANCELLED:
        return None  # the event was moved back or is cancelled, or the buyer no longer has tickets
    facts = {**_facts(paid[0]), "changes": changes, "orders": [each.reservation_id for each in paid]}
    message = EmailMessage(
        subject=_("New date or place: %(name)s") % {"name": _one_line(facts)},
        body=render_to_string("checkout/moved.txt", facts),
        to=[notice.buyer.mail_address],
        **look.envelope(),
        headers={"Message-ID": f"<moved-{notice.pk}-{notice.date_before.timestamp()}@ticket-overlord>"},
    )
    return _with_calendars(message, paid, now=now)


def _with_calendars(message: EmailMessage, paid: Sequence[Payment], *, now: datetime) -> EmailMessage:
    """Attach the calendar file of each order to a mail, and return the mail. A file has one order's entry."""
    for payment in paid:
        calendar = order_calendar(Reach(order_id=payment.reservation_id), now=now)
        if calendar is not None:
            name = calendar.name if len(paid) == 1 else f"order-{payment.reservation_id}-{calendar.name}"
            message.attach(name, calendar.content, calendar.kind)
    return message


def _cancelled_mail(owed: CancelledOrder, *, now: datetime) -> EmailMessage:
    payment = owed.payment
    facts = {
        **_facts(payment),
        "message": owed.cancellation.message,
        "is_free": not payment.amount_minor,
        "is_by_hand": payment.gateway == rules.COUNTER,
    }
    message = EmailMessage(
        subject=_("Cancelled: %(name)s") % {"name": _one_line(facts)},
        body=render_to_string("checkout/cancelled.txt", facts),
        to=[payment.buyer.mail_address],
        **look.envelope(),
        headers={"Message-ID": f"<cancelled-{payment.pk}-{payment.created.timestamp()}@ticket-overlord>"},
    )
    return _with_calendars(message, [payment], now=now)


def _money(amount_minor: int, currency: str) -> str:
    return formats.money(money.to_text(amount_minor, currency), currency)


def _one_line(facts: dict[str, Any]) -> str:
    return " ".join(facts["event"].name.split())
