"""How figures look to clients: money as a decimal string beside its currency."""

from collections.abc import Mapping
from typing import Any

from overlord.kernel import money


def event(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `selectors.events` as clients see it."""
    return {
        "id": row["id"],
        "event": row["name"],
        "currency": row["currency"],
        "reservation_amount": row["reservation_amount"],
        "reserved_tickets": row["reserved_tickets"],
        "sold_amount": row["sold_amount"],
        "profit": money.to_text(row["revenue_minor"], row["currency"]),
    }


def ticket_type(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `selectors.ticket_types` as clients see it. The average is in tickets per reservation."""
    made = row["reservation_amount"]
    return {
        "ticket_type": row["name"],
        "currency": row["currency"],
        "reservation_amount": made,
        "reservation_avg_amount": round(row["reserved_tickets"] / made, 2) if made else 0.0,
        "sold_amount": row["sold_amount"],
        "profit": money.to_text(row["revenue_minor"], row["currency"]),
    }
