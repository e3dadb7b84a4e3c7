"""The reads of the organiser's pages: events, ticket types, orders, people.

What must stay true: the number of queries for a list does not depend on its length.
"""

from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from checkout import selectors as checkout
from checkout.models import CounterSale, Payment
from overlord.accounts import selectors as accounts
from overlord.accounts.models import User
from overlord.kernel.errors import NotFound
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import searches
from overlord.shop.paging import Page, page_of
from tickets.admission import selectors as admission
from tickets.admission.models import Ticket
from tickets.models import Event, Reservation, TicketType
from tickets.selectors import coming_or_selling, lasts_until, reservations_of_order

EVENTS_ON_A_PAGE = 50
ORDERS_SHOWN = 50
MOST_BUYERS = 200  # the most buyers that a search by a name considers


def events(*, past: bool, search: str, with_drafts: bool, page: int, now: datetime) -> Page:
    """Return a page of the coming events, the next one first, or of the past events, the latest first.

    An event is past when it has ended, or begun if its end is not known, and sells no more tickets. Each event has
    the figures of `with_figures`.
    """
    coming = lasts_until(now) | coming_or_selling(since=now, now=now, with_hidden=True)
    found = Event.objects.exclude(coming) if past else Event.objects.filter(coming)
    if not with_drafts:
        found = found.exclude(status=Event.Status.DRAFT)
    for word in searches.words(search):
        found = found.filter(Q(name__icontains=word) | Q(venue__icontains=word))
    ordered = with_figures(found, now=now).order_by(*(("-date", "-id") if past else ("date", "id")))
    return page_of(ordered, number=page, most=EVENTS_ON_A_PAGE)


def event(*, event_id: int, now: datetime) -> Event | None:
    """Return one event with the figures of `with_figures`; None if there is none."""
    return with_figures(Event.objects.filter(pk=event_id), now=now).first()


def event_published(*, event_id: int) -> Event:
    """Return an event that is not a draft; raise NotFound. Any staff may see it, because buyers see it too."""
    found = Event.objects.exclude(status=Event.Status.DRAFT).filter(pk=event_id).first()
    if found is None:
        raise NotFound()
    return found


def with_figures(found: QuerySet[Event], *, now: datetime) -> QuerySet[Event]:
    """Add to each event the figures of its ticket types.

    `capacity`, `held`, `sold` and `revenue_minor` are sums over all types. `selling` is the number of types whose
    sale is neither paused nor ended. `opened` is the number of those whose sale has opened, and `unsold` is how
    many tickets of these are not sold, or None if `opened` is 0. `closes_at` is when the last sale ends. Without a
    ticket type, `closes_at` and `revenue_minor` are None.
    """
    has_opened = Q(ticket_types__inventory__opens_at=None) | Q(ticket_types__inventory__opens_at__lte=now)
    goes_on = Q(ticket_types__inventory__closes_at__gt=now)
    is_selling = Q(ticket_types__inventory__paused=False) & goes_on
    opened = has_opened & is_selling
    unsold = F("ticket_types__inventory__capacity") - F("ticket_types__inventory__sold")
    return found.annotate(
        capacity=Coalesce(Sum("ticket_types__inventory__capacity"), 0),
        held=Coalesce(Sum("ticket_types__inventory__held"), 0),
        sold=Coalesce(Sum("ticket_types__inventory__sold"), 0),
        revenue_minor=Sum("ticket_types__inventory__revenue_minor"),
        selling=Count("ticket_types__inventory", filter=is_selling),
        opened=Count("ticket_types__inventory", filter=opened),
        unsold=Sum(unsold, filter=opened),
        closes_at=Max("ticket_types__inventory__closes_at"),
    )


def ticket_types(*, event_id: int) -> list[TicketType]:
    """Return an event's ticket types with their inventories."""
    return list(TicketType.objects.filter(event_id=event_id).select_related("inventory").order_by("pk"))


def cash_minor(*, event_id: int) -> int | None:
    """Return the cash sales of an event, less refunds, in minor units; None if nothing was sold for cash."""
    sold = CounterSale.objects.filter(event_id=event_id, is_free=False)
    total: int | None = sold.aggregate(minor=Sum(F("payment__amount_minor") - F("payment__refunded_minor")))[
        "minor"
    ]
    return total


def people_to_tell(*, event_id: int) -> int:
    """Return how many people get a mail when an event moves: buyers, and people to whom a ticket was handed over.

    Buyers without an e-mail address are not counted. Buyers whose payment was refunded in full are not counted
    either, even if their reservation is still validated. For a cancelled event, return 0.
    """
    if Event.objects.filter(pk=event_id, status=Event.Status.CANCELLED).exists():
        return 0
    paid = Payment.objects.filter(
        reservation_id=Coalesce(OuterRef("lead_id"), OuterRef("pk")), status=Payment.Status.SUCCESS
    )
    sold = Reservation.objects.filter(
        Exists(paid), ticket_type__event_id=event_id, state=Reservation.State.VALIDATED
    )
    reached = sold.exclude(buyer__email="", buyer__contact_email="")
    buyers = reached.aggregate(count=Count("buyer", distinct=True))["count"]
    valid = Ticket.objects.filter(event_id=event_id).exclude(state=Ticket.State.REVOKED)
    handed = valid.exclude(handed_to__in=["", Ticket.NOBODY])
    return int(buyers + handed.aggregate(count=Count("handed_to", distinct=True))["count"])


# Orders --------------------------------------------------------------------------------------------------
def orders_found(*, search: str) -> list[dict[str, Any]]:
    """Return the newest orders that a search finds, at most ORDERS_SHOWN, as dicts.

    A dict has `id`, `lead` (with buyer, type and event), `quantity`, `states`, `back_minor` and, if there is one,
    `payment`. The quantity leaves out reservations that have ended, unless all have; `back_minor` is the money that
    has gone back. The search is the number of an order or reservation, a ticket's serial, a gateway's reference, or
    a part of a buyer's name or e-mail address. An empty search finds all orders.
    """
    ids = _order_ids(search.strip())
    lines: dict[int, list[Reservation]] = {}
    found = Reservation.objects.filter(Q(pk__in=ids) | Q(lead_id__in=ids)).order_by("pk")
    for each in found.select_related("buyer", "ticket_type__event"):
        lines.setdefault(each.order_id, []).append(each)
    orders = {pk: _order_shown(pk, lines[pk]) for pk in ids if pk in lines}
    payments = list(Payment.objects.filter(reservation_id__in=ids).order_by("pk"))
    back = checkout.paid_back(payments)
    for payment in payments:
        orders[payment.reservation_id] |= {"payment": payment, "back_minor": back.get(payment.pk, 0)}
    return list(orders.values())


def _order_shown(order_id: int, lines: list[Reservation]) -> dict[str, Any]:
    kept = [each for each in lines if each.ended_at is None] or lines
    return {
        "id": order_id,
        "lead": lines[0],
        "quantity": sum(each.quantity for each in kept),
        "states": {each.state for each in lines},
        "back_minor": 0,
    }


def _order_ids(text: str) -> list[int]:
    order_of = Coalesce("lead_id", "pk")
    found = Reservation.objects.order_by("-pk")
    if text:
        found = found.filter(_reservations_meant(text))
    # Several reservations can belong to one order, so read more of them than there are orders to show.
    newest = found.annotate(order=order_of).values_list("order", flat=True)[: ORDERS_SHOWN * 4]
    return list(dict.fromkeys(newest))[:ORDERS_SHOWN]


def _reservations_meant(text: str) -> Q:
    """Return the condition for the reservations that a search means."""
    number = text.removeprefix("#")
    if number.isascii() and number.isdecimal() and 0 < int(number[:30]) <= LARGEST_ID:
        return Q(pk=int(number)) | Q(lead_id=int(number))
    ticketed = admission.reservation_of_serial(text)
    if ticketed is not None:
        return Q(pk=ticketed)
    paid = Payment.objects.filter(gateway_reference=text).values_list("reservation_id", flat=True).first()
    if paid is not None:
        return Q(pk=paid)
    buyers = User.objects.filter(accounts.buyer_named(text)).order_by("-pk").values_list("pk", flat=True)
    return Q(buyer_id__in=list(buyers[:MOST_BUYERS]))


def order(*, order_id: int) -> list[Reservation]:
    """Return the reservations of an order with buyer, type, event and voucher, by id; [] for no such order."""
    lines = Reservation.objects.filter(Q(pk=order_id, lead=None) | Q(lead_id=order_id)).order_by("pk")
    return list(lines.select_related("buyer", "ticket_type__event", "voucher"))


def tickets(*, order_id: int) -> list[Ticket]:
    """Return the tickets of an order, by reservation and seat."""
    found = Ticket.objects.filter(reservation__in=reservations_of_order(order_id))
    return list(found.select_related("reservation__ticket_type").order_by("reservation_id", "seat"))


# People --------------------------------------------------------------------------------------------------
def persons(*, search: str) -> list[User]:
    """Return the newest users whose name or e-mail address contains the text, at most ORDERS_SHOWN."""
    named = accounts.buyer_named(search) | Q(verified_email__icontains=search)
    named |= Q(first_name__icontains=search) | Q(last_name__icontains=search)
    return list(User.objects.filter(named).order_by("-pk")[:ORDERS_SHOWN])
