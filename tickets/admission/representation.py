"""How a ticket and a key look to clients."""

from collections.abc import Mapping
from typing import Any

from tickets.admission.models import Key


def ticket(row: Mapping[str, Any], *, code: str | None) -> dict[str, Any]:
    """Show a ticket (a row of `selectors.tickets_of`) with its code, None once it is revoked."""
    return {
        "id": row["id"],
        "serial": row["serial"],
        "code": code,
        "state": row["state"],
        "holder": row["holder"],
        "event": row["event_id"],
        "ticket_type": row["ticket_type"],
        "admitted_at": row["admitted_at"],
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
