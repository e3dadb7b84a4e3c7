"""Write the event of an order's tickets as an iCalendar file (RFC 5545), from the values that pages show."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from icalendar import Calendar, Timezone
from icalendar import Event as CalendarEvent

from tickets.models import Event

EVENT_BEGINS = b"BEGIN:VEVENT"
DURATION = timedelta(hours=2)  # of an event without an end, because calendars need one


def calendar_file(ticket: Mapping[str, Any], *, order_id: int, now: datetime) -> bytes:
    """Return the file for the event of a ticket, with the event's time zone.

    `ticket` is one that `services.tickets_of_order` returns. The UID of the event is always the same, and its
    SEQUENCE rises with each change. So a calendar that already has the event updates it. A cancelled event is
    marked as cancelled. The file has no link to the tickets, because others may see the calendar.
    """
    starts, zone = ticket["event_date"], ZoneInfo(ticket["event_time_zone"])
    ends = ticket["event_ends_at"] or starts + DURATION
    event = CalendarEvent()
    event.add("uid", f"event-{ticket['event_id']}-order-{order_id}@ticket-overlord")
    event.add("sequence", ticket["event_calendar_version"])
    event.add("dtstamp", now)
    if ticket["event_status"] == Event.Status.CANCELLED:
        event.add("status", "CANCELLED")
    event.add("summary", ticket["event_name"])
    event.add("dtstart", _local(starts, zone))
    event.add("dtend", _local(ends, zone))
    if place := ", ".join(filter(None, (ticket["event_venue"], ticket["event_address"]))):
        event.add("location", place)
    event.add("description", _("The link to your tickets is in the mail of order %(n)s.") % {"n": order_id})
    calendar = Calendar()
    calendar.add("prodid", "-//Ticket Overlord//tickets//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    zones = b"".join(_zone(name, starts.year) for name in sorted(calendar.get_missing_tzids()))
    return bytes(calendar.to_ical()).replace(EVENT_BEGINS, zones + EVENT_BEGINS, 1)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant in its zone, or in UTC if calendars would read the local time as another instant.

    When clocks go back, each time of one hour comes twice, and calendars take it for the first one.
    """
    local = instant.astimezone(zone)
    return local if local.fold == 0 else instant.astimezone(UTC)


@lru_cache(maxsize=64)
def _zone(name: str, year: int) -> bytes:
    """Return a file's description of a time zone, from the year before `year` to the middle of the year after it.

    It is cached, because making it takes longer than the rest of a file, and most files have the same few zones.
    """
    zone = Timezone.from_tzid(name, first_date=date(year - 1, 1, 1), last_date=date(year + 1, 7, 1))
    return bytes(zone.to_ical())
