"""The history of an order, from the rows of our tables, in the reader's language.

Staff read it on the order's page, and by `manage.py trace`, which writes English, as the logs do.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout.models import CounterSale, Incident, OrderRecord, Payment, PaymentStep, Receipt, RefundNotice
from checkout.order_rules import OrderDeed
from checkout.rules import PaymentStatus, RefundStatus
from tickets.admission.models import HandOverNotice, HolderNotice, Scan
from tickets.models import MoveNotice, Reservation

DEEDS = {
    OrderDeed.NOTE: _lazy("note"),
    OrderDeed.MAIL: _lazy("mail sent again"),
    OrderDeed.ADDRESS: _lazy("address changed"),
    OrderDeed.RELEASE: _lazy("hold released"),
    OrderDeed.RETURN: _lazy("put back on sale"),
    OrderDeed.RETRY: _lazy("refund tried again"),
}
PAYMENTS = {
    PaymentStatus.NOT_STARTED: _lazy("not started"),
    PaymentStatus.PENDING: _lazy("accepted"),
    PaymentStatus.PROCESSING: _lazy("with the payment service"),
    PaymentStatus.SUCCESS: _lazy("succeeded"),
    PaymentStatus.FAILURE: _lazy("failed"),
    PaymentStatus.ABANDONED: _lazy("abandoned"),
    PaymentStatus.REFUNDING: _lazy("being refunded"),
    PaymentStatus.REFUNDED: _lazy("refunded"),
}
REFUNDS = {
    RefundStatus.PENDING: _lazy("accepted"),
    RefundStatus.PROCESSING: _lazy("with the payment service"),
    RefundStatus.SUCCESS: _lazy("succeeded"),
    RefundStatus.FAILURE: _lazy("failed"),
}
ENDS = {
    Reservation.State.EXPIRED: _lazy("expired"),
    Reservation.State.RELEASED: _lazy("released"),
}
SCANS = {
    Scan.Result.ADMITTED: _lazy("admitted"),
    Scan.Result.ALREADY_ADMITTED: _lazy("already admitted"),
    Scan.Result.REVOKED: _lazy("not valid any more"),
    Scan.Result.OTHER_EVENT: _lazy("for another event"),
    Scan.Result.UNKNOWN: _lazy("not a ticket"),
}
INCIDENTS = {
    Incident.Cause.GATEWAY_SILENT: _lazy("The gateway does not answer; the payment was abandoned"),
    Incident.Cause.LATE_MONEY: _lazy("The money came late and is being refunded"),
    Incident.Cause.REFUND_FAILED: _lazy("The gateway refused a refund"),
    Incident.Cause.WRONG_AMOUNT: _lazy("The gateway charged another amount than was asked"),
    Incident.Cause.STUCK: _lazy("Many attempts have brought no outcome"),
}
HOLDERS = {
    HolderNotice.Kind.MOVED: _lazy("ticket %(serial)s: its holder was told of the new date or place"),
    HolderNotice.Kind.CANCELLED: _lazy("ticket %(serial)s: its holder was told that the event is cancelled"),
}


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
    reservations = Reservation.objects.filter(Q(pk=lead) | Q(lead_id=lead)).select_related(
        "ticket_type", "voucher"
    )
    payments = Payment.objects.filter(reservation_id__in=[each.pk for each in reservations])
    facts = [fact for each in reservations for fact in _reservation_facts(each)]
    for payment in payments:
        facts += _payment_facts(payment)
    return [*facts, *_record_facts(lead), *_ticket_facts(lead), *_move_facts(reservations)]


def _record_facts(order_id: int) -> Iterator[Fact]:
    for record in OrderRecord.objects.filter(order_id=order_id).select_related("actor").order_by("pk"):
        deed = OrderDeed(record.what)
        what = f"{record.actor.username}: {DEEDS[deed]}"
        if text := _record_text(deed, record.text):
            what = f"{what}, {text}"
        yield Fact(at=record.at, kind="reservation", number=order_id, what=what)


def _record_text(deed: OrderDeed, text: str) -> str:
    """Return what a record says, in the reader's language; a note is as it was written."""
    if deed == OrderDeed.MAIL and text.startswith("to "):
        return _("to %(address)s") % {"address": text.removeprefix("to ")}
    if deed == OrderDeed.ADDRESS and text.startswith("from "):
        before, _to, address = text.removeprefix("from ").partition(" to ")
        return _("from %(before)s to %(address)s") % {"before": before, "address": address}
    if deed == OrderDeed.RETRY and text.startswith("refund "):
        return _("refund %(n)s") % {"n": text.removeprefix("refund ")}
    return text


def _reservation_facts(held: Reservation) -> Iterator[Fact]:
    known = {
        "n": held.pk,
        "quantity": held.quantity,
        "type": held.ticket_type.name,
        "buyer": held.buyer_id,
        "end": ENDS.get(Reservation.State(held.state), held.state),
    }
    made = _("reservation %(n)s made: %(quantity)s of type %(type)s, buyer %(buyer)s")
    if held.voucher is not None:
        made = _(
            "reservation %(n)s made with the code %(code)s: %(quantity)s of type %(type)s, buyer %(buyer)s"
        )
        known["code"] = held.voucher.text
    times = {
        made: held.created,
        _("reservation %(n)s: the buyer began to pay"): held.paying_since,
        _("reservation %(n)s paid"): held.validated_at,
        _("reservation %(n)s ended: %(end)s"): held.ended_at,
    }
    for what, at in times.items():
        if at is not None:
            yield Fact(at=at, kind="reservation", number=held.pk, what=what % known)


def _payment_facts(payment: Payment) -> Iterator[Fact]:
    for step in PaymentStep.objects.filter(payment_number=payment.pk).order_by("pk"):
        yield Fact(at=step.at, kind="payment", number=payment.pk, what=_step_text(step))
    name = {"n": payment.pk}
    for sale in CounterSale.objects.filter(payment=payment).select_related("sold_by"):
        given, sold = _("payment %(n)s: given free by %(who)s"), _("payment %(n)s: sold for cash by %(who)s")
        what = (given if sale.is_free else sold) % {**name, "who": sale.sold_by.username}
        yield Fact(at=sale.at, kind="payment", number=payment.pk, what=what)
    yield from _refund_facts(payment)
    for incident in payment.incidents.all():
        cause = INCIDENTS[Incident.Cause(incident.cause)]
        what = _("payment %(n)s: incident: %(cause)s. %(detail)s")
        what %= {**name, "cause": cause, "detail": incident.detail}
        yield Fact(at=incident.created, kind="payment", number=payment.pk, what=what)
    for sent_at in Receipt.objects.filter(payment=payment).values_list("sent_at", flat=True):
        if sent_at is not None:
            what = _("payment %(n)s: the receipt was sent") % name
            yield Fact(at=sent_at, kind="payment", number=payment.pk, what=what)


def _step_text(step: PaymentStep) -> str:
    what = _("payment %(n)s %(status)s, try %(try)s, attempt %(attempt)s") % {
        "n": step.payment_number,
        "status": PAYMENTS[PaymentStatus(step.status)],
        "try": step.try_number,
        "attempt": step.attempts,
    }
    return what + "".join(f", {each}" for each in (step.gateway_reference, step.error) if each)


def _refund_facts(payment: Payment) -> Iterator[Fact]:
    for refund in payment.refunds.select_related("requested_by"):
        text = _("refund %(refund)s of payment %(n)s asked for, now %(status)s")
        if refund.requested_by:
            text = _("refund %(refund)s of payment %(n)s asked for by %(who)s, now %(status)s")
        what = text % {
            "refund": refund.pk,
            "n": payment.pk,
            "who": refund.requested_by and refund.requested_by.username,
            "status": REFUNDS[RefundStatus(refund.status)],
        }
        yield Fact(at=refund.created, kind="refund", number=refund.pk, what=what)
    for notice in RefundNotice.objects.filter(refund__payment=payment):
        yield from _mail_fact(notice, "refund", _("the mail about refund %(n)s was sent") % {"n": notice.pk})


def _mail_fact(
    notice: RefundNotice | HandOverNotice | HolderNotice | MoveNotice, kind: str, what: str
) -> Iterator[Fact]:
    if notice.sent_at is not None:
        yield Fact(at=notice.sent_at, kind=kind, number=notice.pk, what=what)


def _ticket_facts(order_id: int) -> Iterator[Fact]:
    """Yield the scans of an order's tickets with who made them, and the mails about tickets handed over."""
    of_order = Q(ticket__reservation_id=order_id) | Q(ticket__reservation__lead_id=order_id)
    for scan in Scan.objects.filter(of_order).select_related("ticket", "actor", "undone_by").order_by("pk"):
        yield from _scan_facts(scan)
    for notice in HandOverNotice.objects.filter(of_order).select_related("ticket").order_by("pk"):
        what = _("ticket %(serial)s handed over: mail sent to %(to)s") % {
            "serial": notice.ticket.serial,
            "to": notice.to or _("somebody whose address was erased"),
        }
        yield from _mail_fact(notice, "mail", what)
    for told in HolderNotice.objects.filter(of_order).select_related("ticket").order_by("pk"):
        text = str(HOLDERS[HolderNotice.Kind(told.kind)])
        yield from _mail_fact(told, "mail", text % {"serial": told.ticket.serial})


def _scan_facts(scan: Scan) -> Iterator[Fact]:
    known = {
        "serial": scan.ticket.serial if scan.ticket else "",
        "who": scan.actor.username,
        "gate": scan.gate or _("no gate"),
        "result": SCANS[Scan.Result(scan.result)],
    }
    what = _("ticket %(serial)s scanned by %(who)s at %(gate)s: %(result)s") % known
    yield Fact(at=scan.at, kind="scan", number=scan.pk, what=what)
    if scan.undone_at is not None and scan.undone_by is not None:
        what = _("ticket %(serial)s: %(who)s undid the admission")
        what %= {**known, "who": scan.undone_by.username}
        yield Fact(at=scan.undone_at, kind="scan", number=scan.pk, what=what)


def _move_facts(reservations: Iterable[Reservation]) -> Iterator[Fact]:
    """Yield the mails that told the buyer of another date, of the event of these reservations."""
    events = {each.ticket_type.event_id for each in reservations}
    buyers = {each.buyer_id for each in reservations}
    for notice in MoveNotice.objects.filter(event_id__in=events, buyer_id__in=buyers).order_by("pk"):
        yield from _mail_fact(notice, "mail", _("the mail about the new date or place was sent"))
