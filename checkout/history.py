"""What happened to an order, by the rows of our tables: for staff who follow one (`manage.py trace`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from checkout.models import CounterSale, OrderRecord, Payment, PaymentStep, Receipt, RefundNotice
from tickets.admission.models import HandOverNotice, HolderNotice, Scan
from tickets.models import MoveNotice, Reservation


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened to an order, by a row of ours."""

    at: datetime
    kind: str
    number: int
    what: str


def order_facts(*, reservation_id: int) -> list[Fact]:
    """Return all that our tables tell of the order of a reservation, in no order; nothing for an unknown one."""
    asked = Reservation.objects.filter(pk=reservation_id).first()
    if asked is None:
        return []
    lead = asked.lead_id or asked.pk
    reservations = Reservation.objects.filter(Q(pk=lead) | Q(lead_id=lead)).select_related("ticket_type")
    payments = Payment.objects.filter(reservation_id__in=[each.pk for each in reservations])
    facts = [fact for each in reservations for fact in _reservation_facts(each)]
    for payment in payments:
        facts += _payment_facts(payment)
    return [*facts, *_record_facts(lead), *_ticket_facts(lead), *_move_facts(reservations)]


def _record_facts(order_id: int) -> Iterator[Fact]:
    for record in OrderRecord.objects.filter(order_id=order_id).select_related("actor").order_by("pk"):
        what = f"{record.actor.username}: {record.what}" + (f", {record.text}" if record.text else "")
        yield Fact(at=record.at, kind="reservation", number=order_id, what=what)


def _reservation_facts(held: Reservation) -> Iterator[Fact]:
    name = f"reservation {held.pk}"
    about = f"{held.quantity} of ticket type {held.ticket_type_id}, buyer {held.buyer_id}"
    times = {
        f"{name} made: {about}": held.created,
        f"{name}: the buyer began to pay": held.paying_since,
        f"{name} paid": held.validated_at,
        f"{name} ended: {held.state}": held.ended_at,
    }
    for what, at in times.items():
        if at is not None:
            yield Fact(at=at, kind="reservation", number=held.pk, what=what)


def _payment_facts(payment: Payment) -> Iterator[Fact]:
    name = f"payment {payment.pk}"
    for step in PaymentStep.objects.filter(payment_number=payment.pk).order_by("pk"):
        what = f"{name} {step.status}, try {step.try_number}, attempt {step.attempts}"
        detail = "".join(f", {each}" for each in (step.gateway_reference, step.error) if each)
        yield Fact(at=step.at, kind="payment", number=payment.pk, what=what + detail)
    for sale in CounterSale.objects.filter(payment=payment).select_related("sold_by"):
        what = f"{name}: {'given free' if sale.is_free else 'sold for cash'} by {sale.sold_by.username}"
        yield Fact(at=sale.at, kind="payment", number=payment.pk, what=what)
    for refund in payment.refunds.select_related("requested_by"):
        by = f" by {refund.requested_by.username}" if refund.requested_by else ""
        what = f"refund {refund.pk} of {name} asked for{by}, now {refund.status}"
        yield Fact(at=refund.created, kind="refund", number=refund.pk, what=what)
    for incident in payment.incidents.all():
        what = f"incident: {incident.get_cause_display()}. {incident.detail}"
        yield Fact(at=incident.created, kind="payment", number=payment.pk, what=f"{name}: {what}")
    for sent_at in Receipt.objects.filter(payment=payment).values_list("sent_at", flat=True):
        if sent_at is not None:
            yield Fact(at=sent_at, kind="payment", number=payment.pk, what=f"{name}: the receipt was sent")
    for notice in RefundNotice.objects.filter(refund__payment=payment):
        yield from _mail_fact(notice, "refund", f"the mail about refund {notice.pk} was sent")


def _mail_fact(
    notice: RefundNotice | HandOverNotice | HolderNotice | MoveNotice, kind: str, what: str
) -> Iterator[Fact]:
    if notice.sent_at is not None:
        yield Fact(at=notice.sent_at, kind=kind, number=notice.pk, what=what)


def _ticket_facts(order_id: int) -> Iterator[Fact]:
    """Yield what was scanned of an order's tickets, with by whom, and the mails about tickets handed over."""
    of_order = Q(ticket__reservation_id=order_id) | Q(ticket__reservation__lead_id=order_id)
    for scan in Scan.objects.filter(of_order).select_related("ticket", "actor", "undone_by").order_by("pk"):
        name = f"ticket {scan.ticket.serial}" if scan.ticket else "a ticket"
        what = f"{name} scanned by {scan.actor.username} at {scan.gate or 'no gate'}: {scan.result}"
        yield Fact(at=scan.at, kind="scan", number=scan.pk, what=what)
        if scan.undone_at is not None and scan.undone_by is not None:
            what = f"{name}: {scan.undone_by.username} undid the admission"
            yield Fact(at=scan.undone_at, kind="scan", number=scan.pk, what=what)
    for notice in HandOverNotice.objects.filter(of_order).select_related("ticket").order_by("pk"):
        to = notice.to or "somebody whose address was erased"
        yield from _mail_fact(notice, "mail", f"ticket {notice.ticket.serial} handed over: mail sent to {to}")
    for told in HolderNotice.objects.filter(of_order).select_related("ticket").order_by("pk"):
        what = f"ticket {told.ticket.serial}: its holder was told that the event is {told.kind}"
        yield from _mail_fact(told, "mail", what)


def _move_facts(reservations: Iterable[Reservation]) -> Iterator[Fact]:
    """Yield the mails that told the buyer of another date, of the event of these reservations."""
    events = {each.ticket_type.event_id for each in reservations}
    buyers = {each.buyer_id for each in reservations}
    for notice in MoveNotice.objects.filter(event_id__in=events, buyer_id__in=buyers).order_by("pk"):
        yield from _mail_fact(notice, "mail", "the mail about the new date or place was sent")
