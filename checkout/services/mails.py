"""The e-mails to buyers and holders: receipts, and notices of refunds, moved and cancelled events and tickets that
change hands. Runs in the mail worker."""

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
from checkout.services import hand_over_messages, holder_messages, moves
from overlord.accounts.models import User
from overlord.kernel import db, mail_attempts, money
from overlord.shop import formats, look
from overlord.shop.languages import spoken
from tickets import selectors as tickets
from tickets import voucher_labels
from tickets.admission import selectors as admission
from tickets.admission.documents import order_calendar, order_documents
from tickets.admission.models import HandOverNotice, HolderNotice
from tickets.admission.selectors import Reach
from tickets.models import Event, MoveNotice, Reservation

Owed = Receipt | RefundNotice | MoveNotice | HandOverNotice | CancelledOrder | HolderNotice
# The kinds of mails that are sent in one pass. A mail to a buyer creates those to holders, so these come second.
LOOKS: tuple[tuple[type[Owed], ...], ...] = (
    (Receipt, RefundNotice, MoveNotice, HandOverNotice, CancelledOrder),
    (HolderNotice,),
)

AT_ONCE = 500
ATTEMPTS = 12  # then staff are told; with growing pauses, some ten minutes


def mails_send() -> int:
    """Send the mails that are due and count them. One process sends at a time.

    One is enough, and a mail server that hangs then holds no second thread.
    """
    with db.advisory_lock("checkout.receipts") as lock:
        if not lock.is_mine():
            return 0
        post = get_connection()
        try:
            return sum(_send_due(kinds, post) for kinds in LOOKS)
        finally:
            post.close()


def _send_due(kinds: Sequence[type[Owed]], post: BaseEmailBackend) -> int:
    now = db.now()
    due = selectors.to_look_after(dict.fromkeys(kinds, AT_ONCE), now=now)
    return sum(_send(model, pk, post, now=now) for model, found in due.items() for pk in found)


def _send(model: type[Owed], pk: int, post: BaseEmailBackend, *, now: datetime) -> bool:
    """Send one mail and return whether it was sent.

    It is leased before and marked after. When the process dies between the two, it is sent again with the same
    Message-ID, by which mail programs recognise it.
    """
    owed = _take(model, pk)
    if owed is None:
        return False  # a later pass looks at it
    if isinstance(owed, Receipt):
        owed.payment = selectors.payment_with_buyer(payment_id=owed.payment_id)
    is_sent = False
    with mail_attempts.attempt(owed) as made:
        with spoken(_reader_of(owed).language):
            message = _message(owed, now=now)
        if message is not None and message.recipients():  # a buyer at the counter may have given no address
            post.open()  # once for all mails
            post.send_messages([message])
            is_sent = True
    if made.error is None:
        db.statement(sql.mail_done(model), {"pk": pk, "attempts": owed.attempts, "sent": is_sent})
    elif isinstance(made.error, OSError):
        _try_later(owed)
        post.close()  # so that the next mail opens another
    else:
        with db.transaction():
            _give_up(owed)
    return is_sent


def _take(model: type[Owed], pk: int) -> Owed | None:
    """Lease a mail, count the attempt, and return the mail or None. With the first attempt, owe holders theirs."""
    if model not in (MoveNotice, CancelledOrder):
        db.autocommit_required()
        return operations.mail_take(model, pk=pk, lease=mail_attempts.LEASE)
    with db.transaction():
        owed: Owed | None = operations.mail_take(model, pk=pk, lease=mail_attempts.LEASE)
        if isinstance(owed, MoveNotice | CancelledOrder) and owed.attempts == 1:
            holder_messages.holders_owe(owed, now=db.now())
    return owed


def _try_later(owed: Owed) -> None:
    with db.transaction():
        if owed.attempts >= ATTEMPTS:
            _give_up(owed)
        else:
            again = db.now() + rules.look_again_after(owed.attempts)
            _row_of_try(owed).update(next_look_at=again)


def _give_up(owed: Owed) -> None:
    """Try no more to send a mail, and tell staff."""
    if not _row_of_try(owed).update(next_look_at=None):
        return
    payment, detail = _subject_of(owed)
    if payment is None:
        return
    operations.incident_open(payment=payment, cause=Incident.Cause.STUCK, now=db.now(), detail=detail)


def _row_of_try(owed: Owed) -> QuerySet[Owed]:
    """Return the row of a mail unless staff have set its attempts back since this try was taken."""
    return type(owed)._default_manager.filter(pk=owed.pk, attempts=owed.attempts)


def _subject_of(owed: Owed) -> tuple[Payment | None, str]:
    """Return the payment that a mail is about, and the text for staff if it cannot be sent."""
    if isinstance(owed, Receipt):
        return owed.payment, "its receipt"
    if isinstance(owed, RefundNotice):
        return owed.payment, f"the notice of refund {owed.pk}"
    if isinstance(owed, HandOverNotice | HolderNotice):
        return hand_over_messages.payment_of(owed), f"the {owed}"
    if isinstance(owed, CancelledOrder):
        return owed.payment, f"the {owed}"
    paid = selectors.payments_of_attendee(buyer_id=owed.buyer_id, event_id=owed.event_id)
    return paid[0] if paid else None, f"the {owed}"


def _reader_of(owed: Owed) -> User:
    """Return the buyer in whose language a mail is written, also if it goes to the holder of a ticket."""
    if isinstance(owed, HandOverNotice | HolderNotice):
        return owed.ticket.reservation.buyer
    return owed.buyer if isinstance(owed, MoveNotice) else owed.payment.buyer


def _message(owed: Owed, *, now: datetime) -> EmailMessage | None:
    """Return the mail, or None when there is nothing left to tell."""
    if isinstance(owed, Receipt):
        return _receipt_message(owed, now=now)
    if isinstance(owed, HandOverNotice):
        return hand_over_messages.message(owed, now=now)
    if isinstance(owed, HolderNotice):
        return holder_messages.message(owed, now=now)
    if isinstance(owed, CancelledOrder):
        return _cancelled_message(owed, now=now)
    return _refund_message(owed) if isinstance(owed, RefundNotice) else _move_message(owed, now=now)


def _facts(payment: Payment) -> dict[str, Any]:
    """Return what a mail says of an order: the event, its date in its own time zone, and the tickets."""
    order = tickets.orders([payment.reservation_id])[payment.reservation_id]
    event = order[0].ticket_type.event
    return {
        "payment": payment,
        "reservations": rules.lines_paid(payment.status, order),
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "paid": _money(payment.amount_minor, payment.currency),
    }


def _receipt_message(receipt: Receipt, *, now: datetime) -> EmailMessage | None:
    payment = receipt.payment
    if not selectors.has_tickets_to_send(order_id=payment.reservation_id):
        return None  # they were returned or refunded since, or the event was cancelled
    facts = _facts(payment)
    sold = [each for each in facts["reservations"] if each.state == Reservation.State.VALIDATED]
    facts |= _receipt_facts(payment, sold, facts["event"])
    again = f"-{receipt.issue}" if receipt.issue > 1 else ""  # a mail program hides one that it knows
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
    for document in order_documents(Reach(order_id=payment.reservation_id), now=now):
        message.attach(document.name, document.content, document.kind)
    return message


def _receipt_facts(payment: Payment, lines: Sequence[Reservation], event: Event) -> dict[str, Any]:
    """Return what only a receipt says: the price of each line, the link to the tickets, and who sells."""
    shop = look.current()
    prefetch_related_objects([each for each in lines if each.voucher_id is not None], "voucher")
    paid_at = max(each.validated_at or payment.created for each in lines)
    link = reverse("tickets_shown", args=[admission.order_link(order_id=payment.reservation_id)])
    return {
        "lines": [
            {
                "quantity": each.quantity,
                "name": each.ticket_type.name,
                "total": _money(each.total_minor, each.currency),
                "code": voucher_labels.used(each),
            }
            for each in lines
        ],
        "paid_on": formats.date_time(paid_at, event.time_zone),
        "link": f"{settings.BASE_URL}{link}",
        "seller_name": shop.seller,
        "seller_address": shop.seller_address.splitlines(),
        "accent": shop.accent,
    }


def _refund_message(notice: RefundNotice) -> EmailMessage:
    refund, payment = notice.refund, notice.payment
    paid_back = payment.refunds.filter(status=RefundStatus.SUCCESS).order_by("pk")
    last = paid_back.last()
    facts = {
        **_facts(payment),
        "refunded": _money(refund.amount_minor, payment.currency),
        "is_whole": payment.status == PaymentStatus.REFUNDED and last is not None and last.pk == refund.pk,
        "is_late": refund.requested_by_id is None,
    }
    return EmailMessage(
        subject=_("Your refund for %(name)s") % {"name": _one_line(facts)},
        body=render_to_string("checkout/refund.txt", facts),
        to=[payment.buyer.mail_address],
        **look.envelope(),
        headers={"Message-ID": f"<refund-{refund.pk}-{refund.created.timestamp()}@ticket-overlord>"},
    )


def _move_message(notice: MoveNotice, *, now: datetime) -> EmailMessage | None:
    paid = selectors.payments_of_attendee(buyer_id=notice.buyer_id, event_id=notice.event_id)
    changes = moves.changes(notice.event, notice)
    if not paid or not changes:
        return None  # moved back since then, or the buyer no longer has the tickets
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
    """Attach the files that bring the event in the reader's calendar up to date: each order has an entry there."""
    for payment in paid:
        calendar = order_calendar(Reach(order_id=payment.reservation_id), now=now)
        if calendar is not None:
            name = calendar.name if len(paid) == 1 else f"order-{payment.reservation_id}-{calendar.name}"
            message.attach(name, calendar.content, calendar.kind)
    return message


def _cancelled_message(owed: CancelledOrder, *, now: datetime) -> EmailMessage:
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
