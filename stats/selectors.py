"""The figures of the stats API, from the counters on the inventory rows: O(ticket types), whatever was sold."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from django.db.models import Case, F, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from overlord.kernel import db, money
from stats import sql
from tickets.models import Event, TicketType

TOP = 5
MOST_DIGITS = 4  # of any currency: what amounts in different ones are brought to before they are compared

Order = Literal["reservation_amount", "sold_amount", "profit"]


def _total(counter: str) -> Coalesce:
    return Coalesce(Sum(f"ticket_types__inventory__{counter}"), 0)


def _events() -> QuerySet[Any, dict[str, Any]]:
    events: QuerySet[Any, Any] = Event.objects.values("id", "name", "date", "currency")
    return events.annotate(
        reservation_amount=_total("reservations"),
        reserved_tickets=_total("reserved_tickets"),
        sold_amount=_total("sold"),
        revenue_minor=_total("revenue_minor"),
    )


def events(*, after: tuple[datetime, int] | None, most: int) -> list[dict[str, Any]]:
    """Will read the figures of at most `most` events by date, those after (date, id) where it is given."""
    date, event_id = after or ("-infinity", 0)
    return db.rows(sql.EVENTS, {"date": date, "id": event_id, "most": most})


def events_top(*, by: Order) -> list[dict[str, Any]]:
    """Will read the five events that are highest by a figure; ties go by date, then id.

    Profits in different currencies are compared as the amounts they are written as.
    """
    found = _events()
    if by == "profit":
        found = found.annotate(profit=F("revenue_minor") * _weight())
    return list(found.order_by(f"-{by}", "date", "id")[:TOP])


def _weight() -> Case:
    currencies = Event.objects.values_list("currency", flat=True).distinct()
    weights = [
        When(currency=code, then=Value(10 ** (MOST_DIGITS - money.digits(code)))) for code in currencies
    ]
    return Case(*weights, default=Value(1))


def ticket_types() -> Sequence[dict[str, Any]]:
    """Will read the figures of ticket types summed over all events, by their name and currency."""
    named: QuerySet[Any, Any] = TicketType.objects.values(
        ticket_type=F("name"), currency=F("event__currency")
    )
    figures = named.annotate(
        reservation_amount=Coalesce(Sum("inventory__reservations"), 0),
        reserved_tickets=Coalesce(Sum("inventory__reserved_tickets"), 0),
        sold_amount=Coalesce(Sum("inventory__sold"), 0),
        revenue_minor=Coalesce(Sum("inventory__revenue_minor"), 0),
    )
    return list(figures.order_by("ticket_type", "currency"))
