"""What the organiser's pages list. Each list costs the same number of queries, however long it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from tickets.models import Event, TicketType

EVENTS_ON_A_PAGE = 50
SEARCH_WORDS = 8


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list."""

    rows: list[Any]
    number: int
    is_last: bool


def events(*, past: bool, search: str, page: int, now: datetime) -> Page:
    """Return a page of the events to come, the next one first, or of the past ones, the latest first.

    Each has `capacity`, `held`, `sold`, `revenue_minor`, `selling`, `opens_at` and `closes_at` of its ticket types.
    """
    found = Event.objects.filter(date__lt=now) if past else Event.objects.filter(date__gte=now)
    for word in search.split()[:SEARCH_WORDS]:
        found = found.filter(Q(name__icontains=word) | Q(venue__icontains=word))
    ordered = with_figures(found).order_by(*(("-date", "-id") if past else ("date", "id")))
    first = (page - 1) * EVENTS_ON_A_PAGE
    rows = list(ordered[first : first + EVENTS_ON_A_PAGE + 1])
    return Page(rows=rows[:EVENTS_ON_A_PAGE], number=page, is_last=len(rows) <= EVENTS_ON_A_PAGE)


def event(*, event_id: int) -> Event | None:
    """Return one event with the figures that `events` gives each."""
    return with_figures(Event.objects.filter(pk=event_id)).first()


def with_figures(found: QuerySet[Event]) -> QuerySet[Event]:
    """Add the figures of its ticket types to each event."""
    return found.annotate(
        capacity=Coalesce(Sum("ticket_types__inventory__capacity"), 0),
        held=Coalesce(Sum("ticket_types__inventory__held"), 0),
        sold=Coalesce(Sum("ticket_types__inventory__sold"), 0),
        revenue_minor=Sum("ticket_types__inventory__revenue_minor"),
        selling=Count("ticket_types__inventory", filter=Q(ticket_types__inventory__paused=False)),
        opens_at=Min("ticket_types__inventory__opens_at"),
        closes_at=Max("ticket_types__inventory__closes_at"),
    )


def ticket_types(*, event_id: int) -> list[TicketType]:
    """Return an event's ticket types with their inventories."""
    return list(TicketType.objects.filter(event_id=event_id).select_related("inventory").order_by("pk"))
