"""How tickets, keys, scans and doors look to clients. Each function returns a dict of plain values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tickets.admission.models import Key, Ticket
from tickets.admission.rules import ScanResult, TicketState


def ticket(row: Mapping[str, Any], *, code: str | None) -> dict[str, Any]:
    """Show a ticket (a row of `selectors.tickets_of`) with its code.

    `code` is None if the ticket is revoked, or if another person has it. A reader who may not see the code of a
    valid ticket does not see its serial either, because both open the door.
    """
    is_erased = row["handed_to"] == Ticket.NOBODY
    return {
        "id": row["id"],
        "serial": row["serial"] if code or row["state"] == TicketState.REVOKED else None,
        "code": code,
        "issue": row["issue"],
        "state": row["state"],
        "holder": row["holder"],
        "handed_to": None if is_erased else row["handed_to"] or None,
        "holder_erased": is_erased,
        "event": row["event_id"],
        "ticket_type": row["ticket_type"],
        "admitted_at": row["admitted_at"],
    }


def tickets_live(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Show the present version of tickets (rows of `selectors.tickets_live`) to their open pages."""
    return {
        "event_version": rows[0]["event_version"],
        "code_key": rows[0]["code_key"],
        "tickets": [{name: row[name] for name in ("id", "state", "issue", "version")} for row in rows],
    }


def key(key: Key) -> dict[str, Any]:
    """Show the public half of a key, in hexadecimal."""
    return {
        "id": key.pk,
        "event": key.event_id,
        "public_key": bytes(key.public_key).hex(),
        "created": key.created,
        "retired_at": key.retired_at,
    }


# The door ------------------------------------------------------------------------------------------------
def ticket_at_door(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show a ticket to staff at the door: its type, its event and its holder.

    The event's date and time zone are None unless the row has them.
    """
    name = row["contact_name"] or ("" if row["is_guest"] else row["username"])
    is_erased = row["handed_to"] == Ticket.NOBODY
    return {
        "id": row["id"],
        "serial": row["serial"],
        "state": row["state"],
        "seat": row["seat"],
        "seats": row["seats"],
        "holder": row["holder"] or ("" if is_erased else row["handed_to"]),
        "holder_erased": is_erased,
        "buyer": name,
        "email": row["email"] or row["contact_email"],
        "event": row["event_id"],
        "event_name": row["event_name"],
        "event_date": row.get("event_date"),
        "event_time_zone": row.get("event_time_zone"),
        "ticket_type": row["ticket_type"],
        "ticket_type_name": row["ticket_type_name"],
    }


def ticket_found(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show a ticket that was searched for, with its admission or None."""
    return {**ticket_at_door(row), "first": admission(row["first"]) if row["first"] else None}


def admission(row: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Show the scan that admitted a ticket. The names of its columns begin with `prefix`."""
    return {
        "scan_id": row[f"{prefix}scan_id"],
        "at": row[f"{prefix}at"],
        "gate": row[f"{prefix}gate"],
        "by": row[f"{prefix}actor__username"],
    }


def scan_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show the answer to a scan: its result, the ticket or None, and the scan that admitted the ticket or None."""
    first = None
    if row["result"] == ScanResult.ADMITTED:
        first = admission(row)
    elif row["first__scan_id"] is not None:
        first = admission(row, prefix="first__")
    ticket = ticket_at_door(row["ticket"]) if row["ticket"] is not None else None
    return {"scan_id": row["scan_id"], "result": row["result"], "ticket": ticket, "first": first}


def scan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show a recorded scan. `conflict`: a gate without a network let in a person whom the result refuses."""
    return {
        **scan_answer(row),
        "event": row["event_id"],
        "gate": row["gate"],
        "by": row["actor__username"],
        "at": row["at"],
        "recorded_at": row["recorded_at"],
        "conflict": row["unchecked"] and row["result"] != ScanResult.ADMITTED,
        "undone_at": row["undone_at"],
        "undone_by": row["undone_by__username"],
    }


def door_list(
    found: Mapping[str, Any], *, event_id: int, keys: Sequence[Key], types: Mapping[int, str]
) -> dict[str, Any]:
    """Show the list for a door without a network. Each ticket is a list, because there may be tens of thousands."""
    return {
        "event": event_id,
        "version": found["version"],
        "complete": found["complete"],
        "keys": [key(each) for each in keys],
        "ticket_types": [{"id": pk, "name": name} for pk, name in types.items()],
        "tickets": _json(found["tickets"]),
    }


def door(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show the admissions of an event: a row of `selectors.door_states`."""
    counts = _json(row["counts"])
    return {
        "tickets": counts["tickets"],
        "admitted": counts["admitted"],
        "gates": _json(row["gates"]),
        "minutes": _json(row["minutes"]),
        "conflicts": row["conflicts"],
        "list_version": counts["list_version"],
    }


def _json(value: Any) -> Any:
    """Return the value of a jsonb column. Django returns it as text if the SQL is our own."""
    return json.loads(value) if isinstance(value, str) else value
