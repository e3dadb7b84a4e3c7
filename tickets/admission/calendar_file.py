"""The event of some tickets as an iCalendar file (RFC 5545). Plain functions on the values that pages show."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from icalendar import Calendar, Timezone
from icalendar import Event as CalendarEvent

from tickets.models import Event

EVENT_BEGINS = b"BEGIN:VEVENT"
LASTS = timedelta(hours=2)  # a calendar wants an end, and an event may say only when it begins


def calendar_file(ticket: Mapping[str, Any], *, order_id: int, now: datetime) -> bytes:
    """Return the file for the event of a ticket, as `services.tickets_of_order` gives it, with its time zone.

    A calendar that has the event already updates it, because the file gives the event the same UID each time, with
    a SEQUENCE that rises. A cancelled event is marked as cancelled. The file has no link to the tickets, because
    others may see the calendar.
    """
    starts = ticket["event_date"].astimezone(ZoneInfo(ticket["event_time_zone"]))
    ends = ticket["event_ends_at"] or starts + LASTS
    event = CalendarEvent()
    event.add("uid", f"event-{ticket['event_id']}-order-{order_id}@ticket-overlord")
    event.add("sequence", ticket["event_calendar_version"])
    event.add("dtstamp", now)
    if ticket["event_status"] == Event.Status.CANCELLED:
        event.add("status", "CANCELLED")
    event.add("summary", ticket["event_name"])
    event.add("dtstart", starts)
    event.add("dtend", ends.astimezone(ZoneInfo(ticket["event_time_zone"])))
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


@lru_cache(maxsize=64)
def _zone(name: str, year: int) -> bytes:
    """Return what a file says of a time zone: its changes from the year before to the middle of the next.

    Finding and writing them takes longer than all the rest of a file, and most files are of the same few zones.
    """
    zone = Timezone.from_tzid(name, first_date=date(year - 1, 1, 1), last_date=date(year + 1, 7, 1))
    return bytes(zone.to_ical())
