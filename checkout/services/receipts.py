"""The e-mail that a buyer gets after paying. Runs in the mail worker."""

import logging
from datetime import timedelta

from django.core.mail import EmailMessage
from django.db import Error as DatabaseError
from django.template.loader import render_to_string

from checkout import operations, rules, selectors
from checkout.models import Incident, Receipt
from overlord.kernel import db, money
from overlord.shop import formats
from tickets import selectors as tickets

logger = logging.getLogger(__name__)

AT_ONCE = 500
LEASE = timedelta(minutes=2)  # longer than sending one may take
ATTEMPTS = 12  # then staff are told; with growing pauses, some ten minutes


def receipts_send() -> int:
    """Send the receipts that are due and count them. One process sends at a time.

    One is enough, and a mail server that hangs then holds no second thread.
    """
    with db.advisory_lock("checkout.receipts") as lock:
        if not lock.is_mine():
            return 0
        due = selectors.to_look_after(Receipt, now=db.now(), most=AT_ONCE)
        return sum(_send(payment_id) for payment_id in due)


def _send(payment_id: int) -> bool:
    """Send one receipt and return whether it was sent.

    It is leased before and marked after. When the process dies between the two, it is sent again with the same
    Message-ID, by which mail programs recognise it.
    """
    with db.transaction():
        receipt = Receipt.objects.select_for_update(no_key=True).get(pk=payment_id)
        receipt.attempts += 1
        receipt.next_look_at = db.now() + LEASE
        receipt.save(update_fields=["attempts", "next_look_at"])
    try:
        _message(receipt).send()
    except OSError as error:  # smtplib's errors are OSErrors
        logger.warning("The receipt of payment %s was not sent: %s", payment_id, error)
        _try_later(receipt)
        return False
    except DatabaseError:
        raise  # PostgreSQL is away: the receipt is due again when its lease ends
    except Exception:  # an address or a name that no mail can carry must not hold up the other receipts
        logger.exception("The receipt of payment %s cannot be sent.", payment_id)
        with db.transaction():
            _give_up(receipt)
        return False
    with db.transaction():
        Receipt.objects.filter(pk=payment_id).update(sent_at=db.now(), next_look_at=None)
    return True


def _try_later(receipt: Receipt) -> None:
    with db.transaction():
        if receipt.attempts >= ATTEMPTS:
            _give_up(receipt)
        else:
            again = db.now() + rules.look_again_after(receipt.attempts)
            Receipt.objects.filter(pk=receipt.pk).update(next_look_at=again)


def _give_up(receipt: Receipt) -> None:
    """Try no more to send a receipt, and tell staff."""
    Receipt.objects.filter(pk=receipt.pk).update(next_look_at=None)
    operations.incident_open(
        payment=receipt.payment, cause=Incident.Cause.STUCK, now=db.now(), detail="its receipt"
    )


def _message(receipt: Receipt) -> EmailMessage:
    payment = receipt.payment
    event = payment.reservation.ticket_type.event
    order = tickets.orders([payment.reservation_id])[payment.reservation_id]
    facts = {
        "payment": payment,
        "reservations": rules.lines_paid(payment.status, order),
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "paid": f"{money.to_text(payment.amount_minor, payment.currency)} {payment.currency}",
    }
    return EmailMessage(
        subject=f"Your tickets for {' '.join(event.name.split())}",
        body=render_to_string("checkout/receipt.txt", facts),
        to=[payment.buyer.mail_address],
        headers={"Message-ID": f"<receipt-{payment.pk}-{payment.created.timestamp()}@ticket-overlord>"},
    )
