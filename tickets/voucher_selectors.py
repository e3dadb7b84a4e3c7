"""Reads of vouchers and of the facts that decide their use."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from overlord.kernel import db
from tickets import sql
from tickets.event_rules import EventStatus
from tickets.models import TicketType, Voucher
from tickets.selectors import reservations_of_order
from tickets.voucher_rules import VoucherFacts


def facts(*, event_id: int, text: str) -> VoucherFacts | None:
    """Read the facts that decide the use of a voucher, by the database's clock; None if it does not exist."""
    return _facts(sql.VOUCHER_FACTS, {"event": event_id, "text": text})


def facts_of(*, voucher_id: int) -> VoucherFacts | None:
    """Read the same as `facts`, for the voucher with this id."""
    return _facts(sql.VOUCHER_FACTS_BY_ID, {"voucher": voucher_id})


def _facts(statement: str, params: dict[str, Any]) -> VoucherFacts | None:
    found = db.rows(statement, params)
    return VoucherFacts(**found[0]) if found else None


def are_shown(ticket_types: Collection[int]) -> bool:
    """Return whether buyers see all of these ticket types."""
    hidden = TicketType.objects.filter(pk__in=ticket_types, hidden=True)
    drafts = TicketType.objects.filter(pk__in=ticket_types, event__status=EventStatus.DRAFT)
    return not (hidden.exists() or drafts.exists())


def texts_used_at(*, order_id: int, created: datetime) -> set[str]:
    """Return the texts of the vouchers with which tickets of an order were claimed at the instant `created`."""
    made = reservations_of_order(order_id).filter(created=created)
    return set(made.filter(voucher__isnull=False).values_list("voucher__text", flat=True))


def are_there(*, event_id: int) -> bool:
    """Return whether an event has vouchers that have not ended."""
    return Voucher.objects.filter(event_id=event_id, ended_at=None).exists()
