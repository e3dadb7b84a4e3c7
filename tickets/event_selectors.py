"""Reads of events: the list that buyers see, what staff may change or delete, and which of a file exist already."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db.models import DateField, F, Func, Q, QuerySet
from django.db.models.functions import Cast, TruncMonth

from overlord.kernel import db
from overlord.shop import searches
from overlord.shop.selectors import is_logo
from tickets import event_rules, selectors, sql
from tickets.event_rules import PauseOfType
from tickets.models import Event, Inventory, TicketType, Voucher
from tickets.voucher_rules import PriceRule

# The day of an event in its own time zone.
LOCAL_DAY = Cast(Func(F("time_zone"), F("date"), function="timezone"), DateField())


# The list of events that buyers see ------------------------------------------------------------------------------
def events_for_buyers(*, now: datetime) -> QuerySet[Event]:
    """Select the events on sale that have not begun, and those that still sell tickets, such as a festival."""
    return Event.objects.filter(selectors.coming_or_selling(since=now, now=now), status=Event.Status.ON_SALE)


def events_next(
    listed: QuerySet[Event], *, most: int, search: str = "", month: tuple[date, date] | None = None
) -> list[dict[str, Any]]:
    """Read the first of the listed events, soonest first: rows that `representation.events_next` shows.

    The name or the description contains each word of `search`. `month` has the first day of a month and of the next
    one; the month of an event is that of its beginning, in its own time zone.
    """
    for word in searches.words(search):
        listed = listed.filter(Q(name__icontains=word) | Q(description__icontains=word))
    if month is not None:
        listed = listed.annotate(day=LOCAL_DAY).filter(day__gte=month[0], day__lt=month[1])
    shown = listed.order_by("date", "id").values("id", "name", "date", "time_zone", "currency")[:most]
    found: dict[int, dict[str, Any]] = {event["id"]: {**event, "types": []} for event in shown}
    for ticket_type in db.rows(sql.TYPES_LEFT, {"events": list(found)}):
        found[ticket_type["event_id"]]["types"].append(ticket_type)
    return list(found.values())


def months_with(listed: QuerySet[Event]) -> list[date]:
    """Read the first day of each month in which listed events begin."""
    months = listed.annotate(month=TruncMonth(LOCAL_DAY)).order_by("month")
    return list(months.values_list("month", flat=True).distinct())


# Events as staff edit them ---------------------------------------------------------------------------------------


def is_picture_used(*, name: str) -> bool:
    """Return whether an event shows this picture, or the shop shows it as its logo."""
    return Event.objects.filter(picture=name).exists() or is_logo(name=name)


def event_terms(event_id: int) -> tuple[str, datetime] | None:
    """Return an event's currency and date, or None if there is no such event."""
    return Event.objects.filter(pk=event_id).values_list("currency", "date").first()


def is_reserved(*, event_id: int) -> bool:
    """Return whether tickets of the event were ever reserved."""
    return Inventory.objects.filter(ticket_type__event_id=event_id, reservations__gt=0).exists()


def has_codes_with_amounts(*, event_id: int) -> bool:
    """Return whether a discount code of the event has an amount of money, which is in the event's currency."""
    amounts = (PriceRule.FIXED, PriceRule.LESS)
    return Voucher.objects.filter(event_id=event_id, price_rule__in=amounts).exists()


def is_type_reserved(*, ticket_type: int) -> bool:
    """Return whether tickets of this type were ever reserved."""
    return Inventory.objects.filter(pk=ticket_type, reservations__gt=0).exists()


def types_closing_between(*, event_id: int, after: datetime, before: datetime) -> list[str]:
    """Return the names of the ticket types of an event whose sale closes between two times, both excluded."""
    closing = TicketType.objects.filter(inventory__closes_at__gt=after, inventory__closes_at__lt=before)
    return list(closing.filter(event=event_id).order_by("pk").values_list("name", flat=True))


def is_without_opening_time(*, event_id: int) -> bool:
    """Return whether buyers see ticket types of an event, and none of these types has an opening time."""
    shown = TicketType.objects.filter(event=event_id, hidden=False)
    return shown.exists() and not shown.filter(inventory__opens_at__isnull=False).exists()


def pauses(*, event_id: int) -> list[PauseOfType]:
    """Return for each ticket type of an event whether it is paused."""
    types = Inventory.objects.filter(ticket_type__event_id=event_id)
    return [
        PauseOfType(
            ticket_type=each.pk, paused=each.paused, alone=each.paused_alone, closes_at=each.closes_at
        )
        for each in types.only("paused", "paused_alone", "closes_at")
    ]


def types_that_stay_paused(*, event_id: int, now: datetime) -> list[str]:
    """Return the names of the paused ticket types of an event that stay paused when its sale is resumed."""
    known = pauses(event_id=event_id)
    kept = {each.ticket_type for each in known if each.paused} - set(event_rules.resumed(known, now=now))
    return list(TicketType.objects.filter(pk__in=kept).order_by("pk").values_list("name", flat=True))


def events_known(named: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
    """Return which of these pairs of name and date an event already has."""
    found = Event.objects.filter(name__in=[name for name, _ in named]).values_list("name", "date")
    return set(found) & set(named)
