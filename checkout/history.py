"""What happened to an order, by the rows of our tables: for staff who follow one (`manage.py trace`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from checkout.models import OrderRecord, Payment, PaymentStep, Receipt
from tickets.models import Reservation


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
    reservations = Reservation.objects.filter(Q(pk=lead) | Q(lead_id=lead))
    payments = Payment.objects.filter(reservation_id__in=[each.pk for each in reservations])
    facts = [fact for each in reservations for fact in _reservation_facts(each)]
    for payment in payments:
        facts += _payment_facts(payment)
    return facts + list(_record_facts(lead))


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
