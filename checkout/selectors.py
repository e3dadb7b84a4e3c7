"""Reads of payments, refunds, mails, cancelled events and charges."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from django.db.models import Count, Model, Q, QuerySet, Sum

from checkout import representation, rules, sql
from checkout.models import (
    CancelledOrder,
    CounterSale,
    EventCancellation,
    Payment,
    Receipt,
    Refund,
    UnmatchedCharge,
)
from checkout.rules import PaymentStatus, RefundStatus
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission import selectors as admission
from tickets.admission.models import Ticket
from tickets.models import Event, Reservation, TicketType

CHARGES_COMPARED = timedelta(days=3)  # more than a day, because the comparison may miss a night

Kind = TypeVar("Kind", bound=type[Model])  # a model that has a `next_look_at`


def payments(text: str, **params: Any) -> list[Payment]:
    """Run a statement of `sql` whose rows are payments, and return the payments."""
    return [payment for [payment] in db.instances(text, params, Payment)]


def payments_of(*, buyer_id: int) -> QuerySet[Payment]:
    """Select a buyer's payments."""
    return Payment.objects.filter(buyer_id=buyer_id)


def payment_of(*, buyer_id: int, payment_id: int) -> Payment | None:
    """Return one payment of a buyer; None if there is no such payment, or if it is another buyer's."""
    return payments_of(buyer_id=buyer_id).filter(pk=payment_id).first()


def payment_of_anybody(*, payment_id: int) -> Payment | None:
    """Return a payment of any buyer, for staff, or None if there is none."""
    return Payment.objects.filter(pk=payment_id).first()


def payment_with_order(**params: Any) -> tuple[Payment, list[Reservation], datetime] | None:
    """Lock a payment with its order by `sql.PAYMENT_ORDER_LOCK`; return both, and PostgreSQL's time.

    `params` are the ids `payment` and `buyer`. If `buyer` is None, the payment may be any buyer's. Return None if
    there is no such payment.
    """
    found = db.instances(sql.PAYMENT_ORDER_LOCK, params, Payment, Reservation, TicketType, Event)
    for _payment, reservation, ticket_type, event, _now in found:
        tickets.join(reservation, ticket_type, event)
    return (found[0][0], [row[1] for row in found], found[0][-1]) if found else None


def payment_with_buyer(*, payment_id: int) -> Payment:
    """Return a payment with its buyer."""
    [[payment, payment.buyer]] = db.instances(sql.PAYMENT_WITH_BUYER, {"payment": payment_id}, Payment, User)
    return payment


def currency_of(*, payment_id: int) -> str:
    """Return a payment's currency; raise NotFound."""
    currency = Payment.objects.filter(pk=payment_id).values_list("currency", flat=True).first()
    if currency is None:
        raise NotFound()
    return currency


def payments_described(payments: Iterable[Payment]) -> list[dict[str, Any]]:
    """Return payments as the API shows them, with the reservations that each is for."""
    found = list(payments)
    orders, back = tickets.orders_alone([payment.reservation_id for payment in found]), paid_back(found)
    return [
        representation.payment(
            payment, orders[payment.reservation_id], refunded_minor=back.get(payment.pk, 0)
        )
        for payment in found
    ]


def payment_described(payment: Payment, order: Sequence[Reservation]) -> dict[str, Any]:
    """Return a payment as the API shows it. `order` has all reservations of its order."""
    back = paid_back([payment]).get(payment.pk, 0)
    return representation.payment(payment, order, refunded_minor=back)


def payment_described_to_staff(payment: Payment) -> dict[str, Any]:
    """Return a payment as the API shows it to staff who may refund: with its refunds, the oldest first."""
    [described] = payments_described([payment])
    refunds = payment.refunds.order_by("pk")
    shown = [representation.refund(refund, currency=payment.currency) for refund in refunds]
    return {**described, "refunds": shown}


def paid_back(payments: Iterable[Payment]) -> dict[int, int]:
    """Return, by payment, how much money has gone back, in minor units. Payments without a refund are left out."""
    asked = [payment.pk for payment in payments if payment.refunded_minor]
    if not asked:
        return {}
    gone = Refund.objects.filter(payment__in=asked, status=RefundStatus.SUCCESS).values_list("payment")
    return dict(gone.annotate(Sum("amount_minor")))


def payments_shown(*, order_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the payments of orders as the API shows them, newest first: {buyer: [payment]}."""
    found = payments(sql.PAYMENTS_OF_ORDERS, orders=list(order_ids)) if order_ids else []
    shown: dict[int, list[dict[str, Any]]] = {}
    for payment, described in zip(found, payments_described(found), strict=True):
        shown.setdefault(payment.buyer_id, []).append(described)
    return shown


def payments_by_order(*, order_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the latest payment of each order as the API shows it. Orders without a payment are left out."""
    found = payments(sql.PAYMENTS_OF_ORDERS, orders=list(order_ids)) if order_ids else []
    return {described["reservation"]: described for described in payments_described(reversed(found))}


def receipts_counted(*, order_ids: Collection[int]) -> dict[str, int]:
    """Count the mails with the links to the tickets of paid orders: `to_send` and `sent`."""
    counted: dict[str, int] = Receipt.objects.filter(payment__reservation_id__in=order_ids).aggregate(
        to_send=Count("pk", filter=Q(next_look_at__isnull=False)),
        sent=Count("pk", filter=Q(next_look_at__isnull=True, sent_at__isnull=False)),
    )
    return counted


def payment_charged(*, order_id: int) -> Payment | None:
    """Return the payment that was charged for an order, even if it was refunded; None if nobody was charged."""
    return Payment.objects.filter(reservation_id=order_id, status__in=rules.CHARGED).order_by("-id").first()


def refunds_failed_late(*, payment: Payment) -> QuerySet[Refund]:
    """Select a payment's refunds that failed after they had succeeded, and that are still owed.

    Only refunds that had succeeded have a notice. A refund is still owed if the part of the payment that has not
    gone back is at least as large as the refund. If it is smaller, another refund has replaced this one.
    """
    missing_minor = payment.amount_minor - paid_back_minor(payment=payment)
    return payment.refunds.filter(
        status=RefundStatus.FAILURE, notice__isnull=False, amount_minor__lte=missing_minor
    )


def paid_back_minor(*, payment: Payment) -> int:
    """Return how much of a payment has gone back, in minor units."""
    paid = payment.refunds.filter(status=RefundStatus.SUCCESS)
    total: int = paid.aggregate(minor=Sum("amount_minor", default=0))["minor"]
    return total


def refund_refused(*, payment: Payment) -> Refund | None:
    """Return the refund that staff can try again, or None if there is none.

    This is the payment's latest refund, if the gateway refused it. If the payment's status is REFUNDED, it is the
    newest refund that failed after it had succeeded and was not replaced, also if later refunds exist.
    """
    if payment.status == PaymentStatus.REFUNDED:
        return refunds_failed_late(payment=payment).order_by("-id").first()
    latest = payment.refunds.order_by("-id").first()
    return latest if latest is not None and latest.status == RefundStatus.FAILURE else None


def has_tickets_to_send(*, order_id: int) -> bool:
    """Return whether an order has tickets to send by mail, as `are_to_send` decides."""
    return are_to_send(admission.tickets_of_order(order_id=order_id))


def are_to_send(shown: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether at least one of these tickets is valid and its event takes place.

    The tickets are rows of `admission.selectors.tickets_of_order`.
    """
    return any(
        each["state"] != Ticket.State.REVOKED and each["event_status"] != Event.Status.CANCELLED
        for each in shown
    )


def counter_order(*, key: str) -> int | None:
    """Return the id of the order that the form with this key sold at the counter, or None."""
    sold = CounterSale.objects.filter(key=key).values_list("payment__reservation_id", flat=True)
    return sold.first()


def counter_sale(*, key: str) -> tuple[CounterSale, dict[int, int]] | None:
    """Return the counter sale of the form with this key, and its quantities by ticket type; None without a sale."""
    sale = CounterSale.objects.select_related("payment__buyer").filter(key=key).first()
    if sale is None:
        return None
    order_id = sale.payment.reservation_id
    lines = tickets.reservations_of_order(order_id)
    return sale, dict(lines.values_list("ticket_type_id", "quantity"))


# Cancelled events ----------------------------------------------------------------------------------------
def cancellation_cost(*, event_id: int) -> dict[str, int]:
    """Return what cancelling an event would cost: the columns of `sql.CANCELLATION_COST`."""
    [row] = db.rows(sql.CANCELLATION_COST, {"event": event_id})
    return row


def cancellations_due(*, now: datetime) -> list[int]:
    """Return the ids of the cancelled events for which work is due now, the longest due first."""
    due = EventCancellation.objects.filter(next_look_at__lte=now).order_by("next_look_at")
    return list(due.values_list("pk", flat=True))


def is_cancelling(*, event_id: int) -> bool:
    """Return whether workers still have refunds of a cancelled event to start."""
    return EventCancellation.objects.filter(pk=event_id, next_look_at__isnull=False).exists()


def is_reserved_now(*, event_id: int) -> bool:
    """Return whether tickets of an event are held or being paid for. If so, it may get more paid orders."""
    live = Reservation.objects.filter(ticket_type__event_id=event_id, state__in=Reservation.LIVE)
    return live.exists()


def _cancelled(event_id: int) -> QuerySet[CancelledOrder]:
    return CancelledOrder.objects.filter(cancellation_id=event_id)


_WAITS = Q(refund=None, settled_at=None, payment__status=PaymentStatus.SUCCESS)
_BY_HAND = Q(payment__gateway=rules.COUNTER, payment__amount_minor__gt=0)
_BACK = Q(payment__status=PaymentStatus.REFUNDED) | Q(settled_at__isnull=False)
_IN_FLIGHT = Q(refund__status__in=rules.REFUND_IN_FLIGHT)
_REFUSED = Q(refund__status=RefundStatus.FAILURE, payment__status=PaymentStatus.SUCCESS)
# Refunds that failed after they had succeeded: only those have a notice.
_FAILED_LATE = Q(
    refund__status=RefundStatus.FAILURE,
    refund__notice__isnull=False,
    payment__status=PaymentStatus.REFUNDED,
)


def cancelled_in_flight(*, event_id: int) -> int:
    """Return how many refunds of a cancelled event have no outcome yet."""
    return _cancelled(event_id).filter(_IN_FLIGHT).count()


def cancelled_waiting(*, event_id: int, most: int) -> list[int]:
    """Return the ids of at most `most` payments of a cancelled event for which workers still have work to do.

    Workers refund them, or put tickets back on sale if no money is left. Payments that staff pay back by hand are
    left out.
    """
    waiting = _cancelled(event_id).filter(_WAITS).exclude(_BY_HAND).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[:most])


def cancelled_progress(*, event_id: int) -> dict[str, int]:
    """Count the orders of a cancelled event by the state of their refund and mail, and add up their money.

    A refund that failed after it had succeeded counts as `refused`, and not as `back`. The sums of money are
    `back_minor` and `all_minor`.
    """
    counted: dict[str, int] = _cancelled(event_id).aggregate(
        orders=Count("pk"),
        back=Count("pk", filter=_BACK),
        in_flight=Count("pk", filter=_IN_FLIGHT),
        refused=Count("pk", filter=_REFUSED),
        by_hand=Count("pk", filter=_WAITS & _BY_HAND),
        told=Count("pk", filter=Q(sent_at__isnull=False)),
        to_tell=Count("pk", filter=Q(next_look_at__isnull=False)),
        back_minor=Sum("payment__amount_minor", filter=Q(payment__status=PaymentStatus.REFUNDED), default=0),
        all_minor=Sum("payment__amount_minor", default=0),
        late=Count("pk", filter=_FAILED_LATE),
        late_minor=Sum("refund__amount_minor", filter=_FAILED_LATE, default=0),
    )
    late, late_minor = counted.pop("late"), counted.pop("late_minor")
    counted["back"] -= late
    counted["refused"] += late
    counted["back_minor"] -= late_minor
    return counted


def cancelled_problems(*, event_id: int, most: int) -> list[CancelledOrder]:
    """Return the orders of a cancelled event that staff must look at, each with its payment, buyer and refund.

    The gateway refused their refund, the refund failed later, or staff have to pay them back by hand.
    """
    found = _cancelled(event_id).filter(_REFUSED | _FAILED_LATE | (_WAITS & _BY_HAND)).order_by("pk")
    return list(found.select_related("payment__buyer", "refund")[:most])


def cancelled_failed_late(*, event_id: int) -> list[int]:
    """Return the ids of refunds of a cancelled event that failed after they had succeeded."""
    late = _cancelled(event_id).filter(_FAILED_LATE).order_by("pk").values_list("refund_id", flat=True)
    return [refund_id for refund_id in late if refund_id is not None]


# Other reads ---------------------------------------------------------------------------------------------
def payments_of_attendee(*, buyer_id: int, event_id: int) -> list[Payment]:
    """Return the payments by which a buyer has valid tickets of an event, one for each order."""
    mine = Reservation.objects.filter(
        buyer_id=buyer_id, ticket_type__event_id=event_id, state=Reservation.State.VALIDATED
    )
    orders = {reservation.order_id for reservation in mine}
    paid = Payment.objects.filter(reservation_id__in=orders, status=PaymentStatus.SUCCESS)
    return list(paid.select_related("buyer").order_by("reservation_id"))


def payment_of_intent(*, gateway: str, reference: str) -> int | None:
    """Return the id of the payment whose present try has this intent at the gateway, or None."""
    paid = Payment.objects.filter(gateway=gateway, gateway_reference=reference).exclude(gateway_reference="")
    return paid.values_list("pk", flat=True).first()


def refund_of_reference(*, gateway: str, intent: str, reference: str) -> int | None:
    """Return the id of the refund of this intent that has this reference at the gateway, or None."""
    named = Refund.objects.filter(
        payment__gateway=gateway, payment__gateway_reference=intent, gateway_reference=reference
    )
    return named.values_list("pk", flat=True).first()


def charged_references(*, gateway: str, references: Collection[str]) -> set[str]:
    """Return which of these intents at a gateway belong to a payment that is charged or not settled yet."""
    found = Payment.objects.filter(gateway=gateway, gateway_reference__in=references)
    uncharged = (PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE)
    return set(found.exclude(status__in=uncharged).values_list("gateway_reference", flat=True))


def unmatched_charges_open() -> QuerySet[UnmatchedCharge]:
    """Select the charges without a payment that are not closed yet, the oldest first."""
    return UnmatchedCharge.objects.filter(closed_at=None).order_by("charged_at", "pk")


def charges_since(*, now: datetime) -> datetime:
    """Return since when to compare the gateway's charges: some days before the newest payment, or before now.

    The earlier time counts. After the restore of a backup the newest payment is an old one. So the charges
    made since the backup are compared too.
    """
    newest = Payment.objects.order_by("-pk").values_list("created", flat=True).first()
    return min(now, newest or now) - CHARGES_COMPARED


def to_look_after(most: Mapping[Kind, int], *, now: datetime) -> dict[Kind, list[int]]:
    """Return the ids of payments, refunds and mails whose next look is due, the longest due first.

    `most` limits each kind. One statement reads all kinds, because workers ask often and mostly nothing is due.
    """
    kinds = tuple(most)
    found: dict[Kind, list[int]] = {kind: [] for kind in kinds}
    limits = {kind._meta.db_table: limit for kind, limit in most.items()}
    for row in db.rows(_due_text(kinds), {"now": now, **limits}):
        found[kinds[row["kind"]]].append(row["id"])
    return found


@lru_cache
def _due_text(kinds: tuple[type[Model], ...]) -> str:
    return " UNION ALL ".join(
        f"(SELECT {number} AS kind, {kind._meta.pk.column} AS id FROM {kind._meta.db_table}"  # noqa: S608
        f" WHERE next_look_at <= %(now)s ORDER BY next_look_at LIMIT %({kind._meta.db_table})s)"
        for number, kind in enumerate(kinds)
    )
