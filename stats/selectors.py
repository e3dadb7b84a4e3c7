"""Figures for the stats API, read from the counters of inventories: O(ticket types), however many were sold."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import BigIntegerField, Case, DecimalField, F, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from overlord.kernel import db, money
from stats import sql
from tickets.models import Event, TicketType

TOP = 5
MOST_DIGITS = 4  # that any currency has; amounts in different currencies are compared with so many


class Order(StrEnum):
    """A figure by which events are ranked."""

    RESERVATIONS = "reservation_amount"
    SOLD = "sold_amount"
    PROFIT = "profit"


# Sums of revenue are wider than a bigint.
MINOR = DecimalField(max_digits=40, decimal_places=0)


def _sum(column: str) -> Coalesce:
    field = MINOR if column.endswith("_minor") else BigIntegerField()
    return Coalesce(Sum(column), Value(0), output_field=field)


def _total(counter: str) -> Coalesce:
    return _sum(f"ticket_types__inventory__{counter}")


def _events() -> QuerySet[Any, dict[str, Any]]:
    events: QuerySet[Any, Any] = Event.objects.values("id", "name", "date", "currency")
    return events.annotate(
        reservation_amount=_total("reservations"),
        reserved_tickets=_total("reserved_tickets"),
        sold_amount=_total("sold"),
        revenue_minor=_total("revenue_minor"),
    )


def events(*, after: tuple[datetime, int] | None, most: int) -> list[dict[str, Any]]:
    """Read the figures of at most `most` events by date and id, those after (date, id) if it is given."""
    date, event_id = after or ("-infinity", 0)
    return db.rows(sql.EVENTS, {"date": date, "id": event_id, "most": most})


def events_top(*, by: Order) -> list[dict[str, Any]]:
    """Read the five events that are highest by a figure; equal ones by date, then id.

    Profits in different currencies are compared by their numbers: 20.00 EUR is more than 15 JPY.
    """
    found = _events()
    if by == Order.PROFIT:
        found = found.annotate(profit=F("revenue_minor") * _weight())
    return list(found.order_by(f"-{by}", "date", "id")[:TOP])


def _weight() -> Case:
    currencies = Event.objects.values_list("currency", flat=True).distinct()
    weights = [
        When(currency=code, then=Value(10 ** (MOST_DIGITS - money.digits(code)))) for code in currencies
    ]
    return Case(*weights, default=Value(1), output_field=MINOR)


def ticket_types() -> Sequence[dict[str, Any]]:
    """Read the figures of ticket types with the same name and currency, summed over all events."""
    named: QuerySet[Any, Any] = TicketType.objects.values(
        ticket_type=F("name"), currency=F("event__currency")
    )
    figures = named.annotate(
        reservation_amount=_sum("inventory__reservations"),
        reserved_tickets=_sum("inventory__reserved_tickets"),
        sold_amount=_sum("inventory__sold"),
        revenue_minor=_sum("inventory__revenue_minor"),
    )
    return list(figures.order_by("ticket_type", "currency"))
