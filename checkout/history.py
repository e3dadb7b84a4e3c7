"""The history of an order, read from the rows of our tables.

The order's page shows it to staff, in their language. `manage.py trace` writes it for engineers, in English as in
the logs, with the ids of the rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout.models import (
    CancelledOrder,
    CounterSale,
    Incident,
    OrderRecord,
    Payment,
    PaymentStep,
    Receipt,
    RefundNotice,
)
from checkout.order_rules import OrderAction
from checkout.rules import OUTCOME_SENTENCES, Outcome, PaymentStatus, RefundStatus
from overlord.kernel import money
from overlord.shop import formats
from tickets import selectors as tickets
from tickets.admission.models import HandOverNotice, HolderNotice, Scan
from tickets.models import MoveNotice, Reservation

TIMES = "\N{MULTIPLICATION SIGN}"
ACTIONS = {
    OrderAction.NOTE: _lazy("%(who)s wrote a note: %(text)s"),
    OrderAction.MAIL: _lazy("%(who)s sent the mail with the tickets again"),
    OrderAction.ADDRESS: _lazy("%(who)s changed the e-mail address of the buyer"),
    OrderAction.RELEASE: _lazy("%(who)s released the reservation"),
    OrderAction.RETURN: _lazy("%(who)s put the tickets back on sale"),
    OrderAction.RETRY: _lazy("%(who)s tried the refund again"),
    OrderAction.ELSEWHERE: _lazy("%(who)s recorded a refund that was made outside this shop: %(text)s"),
}
PAYMENTS = {
    PaymentStatus.NOT_STARTED: _lazy("The payment was prepared"),
    PaymentStatus.PENDING: _lazy(
        "The buyer pressed Pay, and the payment is waiting to be sent to the payment service"
    ),
    PaymentStatus.PROCESSING: _lazy("The payment was sent to the payment service"),
    PaymentStatus.SUCCESS: _lazy("The payment succeeded"),
    PaymentStatus.FAILURE: _lazy("The payment failed"),
    PaymentStatus.ABANDONED: _lazy(
        "The shop no longer waits for the payment, because the payment service did not answer"
    ),
    PaymentStatus.REFUNDING: _lazy("The payment arrived too late and is being refunded"),
    PaymentStatus.REFUNDED: _lazy("The full amount was refunded"),
}
FAILURES = {
    OUTCOME_SENTENCES[Outcome.DECLINED]: _lazy("The payment failed: the card was declined"),
    OUTCOME_SENTENCES[Outcome.FAILED]: _lazy("The payment failed: the payment service could not process it"),
    OUTCOME_SENTENCES[Outcome.CANCELLED]: _lazy("The payment failed: the buyer did not confirm it in time"),
}
REFUNDS = {
    RefundStatus.PENDING: _lazy("waiting to be sent"),
    RefundStatus.PROCESSING: _lazy("sent to the payment service"),
    RefundStatus.SUCCESS: _lazy("refunded"),
    RefundStatus.FAILURE: _lazy("refused by the payment service"),
}
SCANS = {
    Scan.Result.ADMITTED: _lazy("admitted"),
    Scan.Result.ALREADY_ADMITTED: _lazy("already admitted"),
    Scan.Result.REVOKED: _lazy("no longer valid"),
    Scan.Result.OTHER_EVENT: _lazy("for another event"),
    Scan.Result.UNKNOWN: _lazy("not a ticket"),
}
INCIDENTS = {
    Incident.Cause.GATEWAY_SILENT: _lazy(
        "Needs attention: the payment service does not answer, so the shop no longer waits for the payment"
    ),
    Incident.Cause.LATE_MONEY: _lazy("Needs attention: the payment arrived too late and is being refunded"),
    Incident.Cause.REFUND_FAILED: _lazy("Needs attention: the payment service refused a refund"),
    Incident.Cause.WRONG_AMOUNT: _lazy(
        "Needs attention: the payment service charged a different amount than the shop requested"
    ),
    Incident.Cause.STUCK: _lazy(
        "Needs attention: the result of a payment or a refund is not known yet, or a mail could not be sent"
    ),
}
HOLDERS = {
    HolderNotice.Kind.MOVED: _lazy(
        "The mail about the new date or place was sent to the holder of ticket %(serial)s"
    ),
    HolderNotice.Kind.CANCELLED: _lazy(
        "The mail about the cancellation was sent to the holder of ticket %(serial)s"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened to an order, as a row of our tables records it.

    `kind` and `number` name the row as the log does (`refund=7`), or the payment or order to which the row belongs.
    `what` is a sentence in the reader's language, `detail` is for engineers.
    """

    at: datetime
    kind: str
    number: int
    what: str
    detail: str = ""


def order_facts(*, reservation_id: int) -> list[Fact]:
    """Return all facts about a reservation's order, unsorted; an empty list if there is no such reservation."""
    asked = Reservation.objects.filter(pk=reservation_id).first()
    if asked is None:
        return []
    lead = asked.order_id
    reservations = tickets.reservations_of_order(lead).select_related("ticket_type", "voucher")
    payments = Payment.objects.filter(reservation_id__in=[each.pk for each in reservations])
    facts = [fact for each in reservations for fact in _reservation_facts(each)]
    for payment in payments:
        facts += _payment_facts(payment)
    return [*facts, *_record_facts(lead), *_ticket_facts(lead), *_move_facts(reservations)]


def order_history(*, order_id: int) -> list[Fact]:
    """Return an order's facts, the latest first.

    If facts that follow each other differ only in time and detail, only the earliest of them is returned.
    """
    history: list[Fact] = []
    for fact in sorted(order_facts(reservation_id=order_id), key=lambda fact: fact.at):
        if not history or replace(history[-1], at=fact.at, detail=fact.detail) != fact:
            history.append(fact)
    return history[::-1]


def _record_facts(order_id: int) -> Iterator[Fact]:
    for record in OrderRecord.objects.filter(order_id=order_id).select_related("actor").order_by("pk"):
        what = _record_text(OrderAction(record.what), record.text, who=record.actor.username)
        yield Fact(
            at=record.at, kind="reservation", number=order_id, what=what, detail=_record_detail(record)
        )


def _record_detail(record: OrderRecord) -> str:
    """Return the text of a record if it is for engineers, such as "refund 7"; otherwise an empty text."""
    return record.text if record.what in (OrderAction.RETURN, OrderAction.RETRY) else ""


def _record_text(action: OrderAction, text: str, *, who: str) -> str:
    """Return a record as a sentence in the reader's language. The text of a note is not translated."""
    given = {"who": who, "text": text}
    if action == OrderAction.MAIL and text.startswith("to "):
        sent = _("%(who)s sent the mail with the tickets again, to %(address)s")
        return sent % {**given, "address": text.removeprefix("to ")}
    if action == OrderAction.ADDRESS and text.startswith("from "):
        return "; ".join(_contact_texts(*text.removeprefix("from ").split("\n"), who=who))
    return str(ACTIONS[action]) % given


def _contact_texts(addresses: str, *names: str, who: str) -> Iterator[str]:
    """Yield sentences about a buyer's changed address and changed name.

    `addresses` is "BEFORE to NEW", as `services.address_change` records it. `names` has the earlier and the new
    name, or is empty if the name stayed.
    """
    before, _to, address = addresses.partition(" to ")
    changed = _("%(who)s changed the e-mail address of the buyer from %(before)s to %(address)s")
    if before == "none":
        changed = _("%(who)s entered the e-mail address of the buyer: %(address)s")
    if before != address or not names:
        yield changed % {"who": who, "before": before, "address": address}
    if names:
        earlier, name = (each or _("empty") for each in names)
        changed = _("%(who)s changed the name of the buyer from %(before)s to %(name)s")
        yield changed % {"who": who, "before": earlier, "name": name}


def _reservation_facts(reservation: Reservation) -> Iterator[Fact]:
    known = {"tickets": f"{reservation.quantity} {TIMES} {reservation.ticket_type.name}"}
    made = _("%(tickets)s reserved")
    if reservation.voucher is not None:
        made = _("%(tickets)s reserved with the code %(code)s")
        known["code"] = reservation.voucher.text
    times = {
        made: reservation.created,
        _("%(tickets)s: the buyer started to pay"): reservation.paying_since,
        _("%(tickets)s sold"): reservation.validated_at,
        _end_text(reservation): reservation.ended_at,
    }
    detail = f"reservation {reservation.pk}, buyer {reservation.buyer_id}"
    for what, at in times.items():
        if at is not None:
            yield Fact(at=at, kind="reservation", number=reservation.pk, what=what % known, detail=detail)


def _end_text(reservation: Reservation) -> str:
    """Return the sentence about the end of a reservation. Only staff end a reservation that was sold."""
    if reservation.state == Reservation.State.EXPIRED:
        return _("%(tickets)s: the reservation expired, and the tickets are back on sale")
    if reservation.validated_at is None:
        return _("%(tickets)s: the reservation was released, and the tickets are back on sale")
    return _("%(tickets)s: the tickets are back on sale")


def _payment_facts(payment: Payment) -> Iterator[Fact]:
    def fact(at: datetime, what: str, detail: str = "") -> Fact:
        named = f"payment {payment.pk}{detail}"
        return Fact(at=at, kind="payment", number=payment.pk, what=what, detail=named)

    for step in PaymentStep.objects.filter(payment_number=payment.pk).order_by("pk"):
        yield fact(step.at, _step_text(step, is_free=not payment.amount_minor), _step_detail(step))
    for sale in CounterSale.objects.filter(payment=payment).select_related("sold_by"):
        what = _("Given free of charge by %(who)s") if sale.is_free else _("Sold by %(who)s for cash")
        yield fact(sale.at, what % {"who": sale.sold_by.username})
    yield from _refund_facts(payment)
    for incident in payment.incidents.all():
        detail = f": {incident.detail}" if incident.detail else ""
        yield fact(incident.created, str(INCIDENTS[Incident.Cause(incident.cause)]), detail)
    for sent_at in Receipt.objects.filter(payment=payment).values_list("sent_at", flat=True):
        if sent_at is not None:
            yield fact(sent_at, _("The mail with the tickets was sent"))
    for sent_at in CancelledOrder.objects.filter(payment=payment).values_list("sent_at", flat=True):
        if sent_at is not None:
            yield fact(sent_at, _("The mail about the cancellation was sent"))


def _step_text(step: PaymentStep, *, is_free: bool) -> str:
    status = PaymentStatus(step.status)
    if is_free and status == PaymentStatus.SUCCESS:
        return _("There was nothing to pay")
    if status == PaymentStatus.PROCESSING and step.attempts > 1:
        return _("The payment was sent to the payment service again")
    why = FAILURES.get(step.error) if status == PaymentStatus.FAILURE else None
    return str(why or PAYMENTS[status])


def _step_detail(step: PaymentStep) -> str:
    named = f" {step.status}, try {step.try_number}, attempt {step.attempts}"
    return named + "".join(f", {each}" for each in (step.gateway_reference, step.error) if each)


def _refund_facts(payment: Payment) -> Iterator[Fact]:
    for refund in payment.refunds.select_related("requested_by"):
        text = _("Refund of %(amount)s: %(status)s")
        if refund.requested_by:
            text = _("Refund of %(amount)s, requested by %(who)s: %(status)s")
        what = text % {
            "amount": formats.money(money.to_text(refund.amount_minor, payment.currency), payment.currency),
            "who": refund.requested_by and refund.requested_by.username,
            "status": _("refunded outside this shop")
            if refund.elsewhere
            else REFUNDS[RefundStatus(refund.status)],
        }
        detail = f"refund {refund.pk} of payment {payment.pk}"
        yield Fact(at=refund.created, kind="refund", number=refund.pk, what=what, detail=detail)
    for notice in RefundNotice.objects.filter(refund__payment=payment):
        yield from _mail_fact(notice, "refund", _("The mail about the refund was sent"))


def _mail_fact(
    notice: RefundNotice | HandOverNotice | HolderNotice | MoveNotice, kind: str, what: str
) -> Iterator[Fact]:
    if notice.sent_at is not None:
        yield Fact(at=notice.sent_at, kind=kind, number=notice.pk, what=what)


def _ticket_facts(order_id: int) -> Iterator[Fact]:
    """Yield the scans of an order's tickets, and the mails about tickets that were handed over."""
    reservations = tickets.reservations_of_order(order_id)
    for scan in (
        Scan.objects.filter(ticket__reservation__in=reservations)
        .select_related("ticket", "actor", "undone_by")
        .order_by("pk")
    ):
        yield from _scan_facts(scan)
    for notice in (
        HandOverNotice.objects.filter(ticket__reservation__in=reservations)
        .select_related("ticket")
        .order_by("pk")
    ):
        what = _("Ticket %(serial)s was handed over, and a mail was sent to %(to)s") % {
            "serial": notice.ticket.serial,
            "to": notice.to or _("somebody whose address was erased"),
        }
        yield from _mail_fact(notice, "mail", what)
    for holder_notice in (
        HolderNotice.objects.filter(ticket__reservation__in=reservations)
        .select_related("ticket")
        .order_by("pk")
    ):
        text = str(HOLDERS[HolderNotice.Kind(holder_notice.kind)])
        yield from _mail_fact(holder_notice, "mail", text % {"serial": holder_notice.ticket.serial})


def _scan_facts(scan: Scan) -> Iterator[Fact]:
    known = {
        "serial": scan.ticket.serial if scan.ticket else "",
        "who": scan.actor.username,
        "gate": scan.gate,
        "result": SCANS[Scan.Result(scan.result)],
    }
    if scan.unchecked and scan.result != Scan.Result.ADMITTED:
        known["result"] = _("%(result)s, but the gate had no network and let the person in") % known
    what = _("%(who)s scanned ticket %(serial)s: %(result)s")
    if scan.gate:
        what = _("%(who)s scanned ticket %(serial)s at gate %(gate)s: %(result)s")
    yield Fact(at=scan.at, kind="scan", number=scan.pk, what=what % known)
    if scan.undone_at is not None and scan.undone_by is not None:
        what = _("%(who)s undid the admission of ticket %(serial)s")
        what %= {**known, "who": scan.undone_by.username}
        yield Fact(at=scan.undone_at, kind="scan", number=scan.pk, what=what)


def _move_facts(reservations: Iterable[Reservation]) -> Iterator[Fact]:
    """Yield the mails to the buyer of these reservations about a new date or place of the event."""
    events = {each.ticket_type.event_id for each in reservations}
    buyers = {each.buyer_id for each in reservations}
    for notice in MoveNotice.objects.filter(event_id__in=events, buyer_id__in=buyers).order_by("pk"):
        yield from _mail_fact(notice, "mail", _("The mail about the new date or place was sent"))
