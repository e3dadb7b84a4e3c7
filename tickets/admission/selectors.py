"""Reads of tickets and of the keys that sign their codes."""

from collections.abc import Collection
from typing import Any

from django.db.models import F

from tickets.admission.models import Key, Ticket

TICKET_COLUMNS = (
    "id",
    "reservation_id",
    "event_id",
    "seat",
    "serial",
    "issue",
    "holder",
    "state",
    "admitted_at",
)


def tickets_of(*, reservation_ids: Collection[int]) -> list[dict[str, Any]]:
    """Read the tickets of reservations, in order, as rows that `representation.ticket` shows."""
    return list(
        Ticket.objects.filter(reservation_id__in=reservation_ids)
        .order_by("reservation_id", "seat")
        .annotate(ticket_type=F("reservation__ticket_type_id"))
        .values(*TICKET_COLUMNS, "ticket_type")
    )


def keys_of(*, event_id: int) -> list[Key]:
    """Return an event's keys, the newest first."""
    return list(Key.objects.filter(event_id=event_id).order_by("-id"))


def keys_newest(*, most: int) -> list[Key]:
    """Return the newest keys of all events."""
    return list(Key.objects.order_by("-id")[:most])
