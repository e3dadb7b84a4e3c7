"""Describe an event for search engines and social networks: as an Event of schema.org, in plain values."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString, mark_safe

from overlord.shop import markdown
from tickets.event_rules import EventStatus, SaleState

SCHEMA = "https://schema.org/"


def as_json(facts: Mapping[str, Any]) -> SafeString:
    """Return facts as JSON that is safe inside an element `script`."""
    written = json.dumps(facts, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return mark_safe(written)  # noqa: S308


def event(shown: Mapping[str, Any], *, url: str, base_url: str, organiser: str) -> dict[str, Any]:
    """Return the JSON-LD of an event. `shown` is from `representation.event_detail`; `url` is the event's page."""
    zone = ZoneInfo(shown["time_zone"])
    is_cancelled = shown["status"] == EventStatus.CANCELLED
    facts = {
        "@context": SCHEMA.rstrip("/"),
        "@type": "Event",
        "name": shown["name"],
        "url": url,
        "startDate": shown["date"].astimezone(zone).isoformat(),
        "endDate": shown["ends_at"] and shown["ends_at"].astimezone(zone).isoformat(),
        "eventStatus": SCHEMA + ("EventCancelled" if is_cancelled else "EventScheduled"),
        "eventAttendanceMode": SCHEMA + "OfflineEventAttendanceMode",
        "location": _place(shown),
        "description": markdown.to_line(shown["description"])[:5_000],
        "image": shown["picture"] and [f"{base_url}{shown['picture']}"],
        "organizer": {"@type": "Organization", "name": organiser, "url": base_url},
        "offers": [] if is_cancelled else [_offer(ticket, url) for ticket in shown["tickets"]],
    }
    return {name: value for name, value in facts.items() if value}


def _place(shown: Mapping[str, Any]) -> dict[str, Any] | None:
    if not shown["venue"] and not shown["address"]:
        return None
    return {
        "@type": "Place",
        "name": shown["venue"] or shown["address"],
        "address": shown["address"] or shown["venue"],
    }


def _offer(ticket: Mapping[str, Any], url: str) -> dict[str, Any]:
    facts = {
        "@type": "Offer",
        "name": ticket["ticket_type"],
        "price": ticket["price"],
        "priceCurrency": ticket["currency"],
        "availability": SCHEMA + availability(ticket),
        "validFrom": ticket["opens_at"] and ticket["opens_at"].isoformat(),
        "validThrough": ticket["closes_at"].isoformat(),
        "url": url,
    }
    return {name: value for name, value in facts.items() if value}


def availability(ticket: Mapping[str, Any]) -> str:
    """Return schema.org's word for the availability of a ticket type.

    A type whose tickets are all on hold is not sold out, because some may come back.
    """
    if ticket["sold"] >= ticket["amount"]:
        return "SoldOut"
    if ticket["sale"] == SaleState.UPCOMING:
        return "PreOrder"
    if ticket["sale"] == SaleState.LINE:
        return "LimitedAvailability"
    return "InStock" if ticket["sale"] == SaleState.OPEN and ticket["available"] > 0 else "OutOfStock"
