"""Doors, and codes that are shown there, for the tests of this app and of the apps above."""

from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone
from rest_framework.test import APIClient

from tickets.admission import door_services, selectors, services
from tickets.admission.door_services import Shown
from tickets.admission.models import Scan, Ticket
from tickets.models import Reservation

SCANS = "/door/scans/"


def codes_of(reservation: Reservation) -> list[str]:
    """Return the codes of a reservation's tickets, in order."""
    rows = selectors.tickets_of(reservation_ids=[reservation.pk])
    return [each["code"] for each in services.tickets_coded(rows, now=timezone.now())]


def scan(
    code: str = "",
    *,
    actor_id: int,
    serial: str = "",
    gate: str = "North",
    event_id: int | None = None,
    scan_id: UUID | None = None,
    unchecked: bool = False,
) -> dict[str, Any]:
    """Scan a code or a serial by the service."""
    return door_services.scan_make(
        shown=Shown(scan_id=scan_id or uuid4(), code=code, serial=serial),
        event_id=event_id,
        gate=gate,
        actor_id=actor_id,
        now=timezone.now(),
        unchecked=unchecked,
    )


def scan_by_api(api: APIClient, **given: Any) -> Any:
    """Scan by the API at the gate North; return the answer."""
    return api.post(SCANS, {"scan_id": str(uuid4()), "gate": "North", **given}, format="json")


def is_admitted_once(ticket: Ticket) -> bool:
    """Return whether a ticket is admitted, and by one scan."""
    ticket.refresh_from_db()
    admitting = Scan.objects.filter(ticket=ticket, result="admitted", undone_at=None).count()
    return ticket.state == "admitted" and admitting == 1
