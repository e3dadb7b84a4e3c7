"""Reads of payments."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from checkout import representation, rules, sql
from checkout.models import CounterSale, Payment, Receipt, Refund, RefundNotice, UnmatchedCharge
from checkout.rules import PaymentStatus, RefundStatus
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission.models import HandOverNotice
from tickets.models import MoveNotice, Reservation


def payments(text: str, **params: Any) -> list[Payment]:
    """Run a statement of `sql` that reads payments."""
    return [payment for [payment] in db.instances(text, params, Payment)]


def payments_of(*, buyer_id: int) -> QuerySet[Payment]:
    """Select a buyer's payments."""
    return Payment.objects.filter(buyer_id=buyer_id)


def payment_of(*, buyer_id: int, payment_id: int) -> Payment | None:
    """Return one payment of a buyer's; None for another buyer's too."""
    return payments_of(buyer_id=buyer_id).filter(pk=payment_id).first()


def currency_of(*, payment_id: int) -> str:
    """Return a payment's currency; raise NotFound."""
    currency = Payment.objects.filter(pk=payment_id).values_list("currency", flat=True).first()
    if currency is None:
        raise NotFound()
    return currency


def payments_described(payments: Iterable[Payment]) -> list[dict[str, Any]]:
    """Return payments as the API does, with the reservations that each is for."""
    found = list(payments)
    orders = tickets.orders([payment.reservation_id for payment in found])
    return [representation.payment(payment, orders[payment.reservation_id]) for payment in found]


def payments_shown(*, order_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the payments of orders as the API does, newest first: {buyer: [payment]}."""
    found = payments(sql.PAYMENTS_OF_ORDERS, orders=list(order_ids)) if order_ids else []
    shown: dict[int, list[dict[str, Any]]] = {}
    for payment, described in zip(found, payments_described(found), strict=True):
        shown.setdefault(payment.buyer_id, []).append(described)
    return shown


def payments_by_order(*, order_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the latest payment of each order as the API does; orders without one are left out."""
    found = payments(sql.PAYMENTS_OF_ORDERS, orders=list(order_ids)) if order_ids else []
    return {described["reservation"]: described for described in payments_described(reversed(found))}


def payment_charged(*, order_id: int) -> Payment | None:
    """Return the payment that was charged for an order, refunded or not; None when nobody was charged."""
    return Payment.objects.filter(reservation_id=order_id, status__in=rules.CHARGED).order_by("-id").first()


def refund_refused(*, payment: Payment) -> Refund | None:
    """Return the latest refund of a payment if the gateway refused it, so that it can be tried again."""
    latest = payment.refunds.order_by("-id").first()
    return latest if latest is not None and latest.status == RefundStatus.FAILURE else None


def counter_order(*, key: str) -> int | None:
    """Return the order that a form of this key sold at the counter."""
    sold = CounterSale.objects.filter(key=key).values_list("payment__reservation_id", flat=True)
    return sold.first()


def payment_of_attendee(*, buyer_id: int, event_id: int) -> Payment | None:
    """Return a payment by which a buyer has valid tickets of an event; None when the buyer has none."""
    mine = Reservation.objects.filter(
        buyer_id=buyer_id, ticket_type__event_id=event_id, state=Reservation.State.VALIDATED
    )
    orders = {reservation.order_id for reservation in mine}
    return Payment.objects.filter(reservation_id__in=orders, status=PaymentStatus.SUCCESS).first()


def payment_of_intent(*, gateway: str, reference: str) -> int | None:
    """Return the payment whose present try has this intent at the gateway."""
    paid = Payment.objects.filter(gateway=gateway, gateway_reference=reference).exclude(gateway_reference="")
    return paid.values_list("pk", flat=True).first()


def charged_references(*, gateway: str, references: Collection[str]) -> set[str]:
    """Return which of a gateway's charges belong to a payment that is charged or will be settled."""
    found = Payment.objects.filter(gateway=gateway, gateway_reference__in=references)
    uncharged = (PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE)
    return set(found.exclude(status__in=uncharged).values_list("gateway_reference", flat=True))


def unmatched_charges_open() -> QuerySet[UnmatchedCharge]:
    """Select the charges without a payment that nobody has dealt with, the oldest first."""
    return UnmatchedCharge.objects.filter(closed_at=None).order_by("charged_at", "pk")


def to_look_after(
    model: type[Payment | Refund | Receipt | RefundNotice | MoveNotice | HandOverNotice],
    *,
    now: datetime,
    most: int,
) -> list[int]:
    """Return the ids of payments, refunds or mails whose next look is due, the longest due first."""
    due = model._default_manager.filter(next_look_at__lte=now).order_by("next_look_at")
    return list(due.values_list("pk", flat=True)[:most])
