"""The events on the monitor: those on its live stream, and pages of all coming events, which staff can search.

The stream has the next events by date, and the events with the latest activity. So an event that is far ahead, but
whose sale opens today, is shown from its first reservation on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from overlord.shop import searches
from overlord.shop.paging import Page, page_of
from tickets import selectors as tickets
from tickets.models import Event

EVENTS = 40  # the next ones by date in the stream; also the length of a page
ACTIVE = 10  # the most events that the stream has in addition, because of their latest activity
STILL_SHOWN = timedelta(hours=6)  # after an event began, even if it sells no more tickets


def events_live(*, happened: Iterable[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the next events and those with the latest activity, the next event first.

    `happened` are the rows of `sql/feed.sql`.
    """
    shown = [*_events(now).values_list("date", "pk")[:EVENTS]]
    active = dict.fromkeys((each["event_date"], each["event_id"]) for each in happened)
    shown += [key for key in list(active)[:ACTIVE] if key[0] > now - STILL_SHOWN]
    return _rows([pk for _date, pk in sorted({*shown})], now=now)


def more_events_exist(*, now: datetime) -> bool:
    """Return whether there are more events by date than the stream shows."""
    return _events(now)[EVENTS : EVENTS + 1].exists()


def events_page(*, search: str, number: int, now: datetime) -> Page:
    """Return a page of the events of `_events` that have the words of `search`, the next one first."""
    found = _events(now)
    for word in searches.words(search):
        found = found.filter(Q(name__icontains=word) | Q(venue__icontains=word))
    ids = page_of(found.values_list("pk", flat=True), number=number, most=EVENTS)
    return replace(ids, rows=_rows(ids.rows, now=now))


def _events(now: datetime) -> QuerySet[Event]:
    """Select the events that have not begun, began less than STILL_SHOWN ago, or still sell tickets, by date.

    Drafts are left out.
    """
    shown = Event.objects.exclude(status=Event.Status.DRAFT).filter(
        tickets.coming_or_selling(since=now - STILL_SHOWN, now=now, with_hidden=True)
    )
    return shown.order_by("date", "pk")


def _rows(ids: Sequence[int], *, now: datetime) -> list[dict[str, Any]]:
    details = tickets.events_detail_for_staff(ids, now=now)
    return [_event(details[event_id]) for event_id in ids if event_id in details]


def _event(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as the monitor shows it. `detail` is what the API shows, with more fields for staff."""
    types = [
        {
            "id": each["id"],
            "ticket_type": each["ticket_type"],
            "capacity": each["amount"],
            "held": each["held"],
            "sold": each["sold"],
            "free": each["available"],
            "sale": each["sale"],
        }
        for each in detail["tickets"]
    ]
    shown = {name: detail[name] for name in ("id", "name", "date", "time_zone", "sale", "switch")}
    for_buyers = [each for each in types if each["id"] not in detail["hidden"]]
    return {**shown, "status": _status(detail["sale"], for_buyers), "types": types}


def _status(sale: str, types: Sequence[Mapping[str, Any]]) -> str:
    """Return the status of an event: its sale state `sale`, unless this is open and no ticket is free.

    Then return "all_held" if tickets are held, because they may become free again, and otherwise "sold_out".
    """
    on_sale = [each for each in types if each["sale"] == "open"]
    if sale != "open" or any(each["free"] for each in on_sale):
        return sale
    return "all_held" if any(each["held"] for each in on_sale) else "sold_out"
