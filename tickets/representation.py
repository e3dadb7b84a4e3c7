"""How events, ticket types and reservations look to clients, the same in HTTP answers and on streams.

These are plain functions from rows to dicts. `Figures` change with every sale. The fields that staff edit are
separate from them, so a sale replaces only the versioned value with the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from overlord.kernel import money
from overlord.shop import pictures
from tickets import rules
from tickets.event_rules import EventStatus, SaleState, event_sale_state
from tickets.rules import LIVE_STATES, ReservationState


@dataclass(frozen=True, kw_only=True)
class Figures:
    """An inventory row at one version, with the end of its earliest hold."""

    ticket_type: int
    capacity: int
    held: int
    sold: int
    opens_at: datetime | None
    closes_at: datetime
    paused: bool
    line_first: bool
    version: int
    next_release_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Figures":
        """Return the figures in a row of our SQL. The row may have more columns."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def as_plain(self) -> dict[str, Any]:
        """Return the figures as a dict that can be kept as JSON."""
        return dict(vars(self))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Figures":
        """Return the figures from a dict of `as_plain` that was kept as JSON; raise KeyError or ValueError."""
        times = {name: _instant(plain[name]) for name in ("opens_at", "closes_at", "next_release_at")}
        return cls(**{**plain, **times})

    def sale(self, *, now: datetime) -> SaleState:
        """Return the ticket type's sale state."""
        return rules.sale_state(
            opens_at=self.opens_at,
            closes_at=self.closes_at,
            paused=self.paused,
            line_first=self.line_first,
            now=now,
        )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def event_detail(
    static: Mapping[str, Any], figures: Mapping[int, Figures], *, now: datetime
) -> dict[str, Any]:
    """Return an event with its ticket types, as `GET /event/events/<id>/` and its stream show it.

    `static` is a row of `selectors.events_static`. `figures` has the figures of each of its ticket types, by id.
    """
    tickets = [ticket_type(static, each, figures[each["id"]], now=now) for each in static["ticket_types"]]
    return {
        "id": static["id"],
        "name": static["name"],
        "date": static["date"],
        "ends_at": static["ends_at"],
        "time_zone": static["time_zone"],
        "venue": static["venue"],
        "address": static["address"],
        "description": static["description"],
        "picture": pictures.address(static["picture"]),
        "currency": static["currency"],
        "buyers": static["buyers"],
        "opening": static["opening"],
        "status": static["status"],
        "sale": SaleState.CANCELLED
        if static["status"] == EventStatus.CANCELLED
        else event_sale_state((ticket["sale"] for ticket in tickets), date=static["date"], now=now),
        "version": static["version"] + sum(ticket["version"] for ticket in tickets),
        "server_time": now,
        "tickets": tickets,
    }


def ticket_type(
    event: Mapping[str, Any], static: Mapping[str, Any], figures: Figures, *, now: datetime
) -> dict[str, Any]:
    """Return one ticket type with its figures."""
    return {
        "id": static["id"],
        "event": event["id"],
        "ticket_type": static["name"],
        "price": money.to_text(static["price_minor"], event["currency"]),
        "currency": event["currency"],
        "amount": figures.capacity,
        "available": figures.capacity - figures.held - figures.sold,
        "held": figures.held,
        "sold": figures.sold,
        "max_per_user": static["max_per_user"],
        "sale": SaleState.CANCELLED if event["status"] == EventStatus.CANCELLED else figures.sale(now=now),
        "opens_at": figures.opens_at,
        "closes_at": figures.closes_at,
        "next_release_at": figures.next_release_at,
        "version": figures.version,
    }


def events_next(rows: Sequence[Mapping[str, Any]], *, now: datetime) -> list[dict[str, Any]]:
    """Return the next events (rows of `event_selectors.events_next`) as the stream of all events shows them."""
    return [_event_next(row, now=now) for row in rows]


def _event_next(row: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    sales = [(each, sale(each, now=now)) for each in row["types"]]
    state = event_sale_state((of_type for _, of_type in sales), date=row["date"], now=now)
    return {
        "id": row["id"],
        "name": row["name"],
        "date": row["date"],
        "sale": state,
        "available": sum(each["left"] for each, of_type in sales if of_type == state),
    }


def sale(row: Mapping[str, Any], *, now: datetime) -> SaleState:
    """Return the sale state of a ticket type from a row of its inventory."""
    return rules.sale_state(
        opens_at=row["opens_at"],
        closes_at=row["closes_at"],
        paused=row["paused"],
        line_first=row["line_first"],
        now=now,
    )


def expiring(row: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the advice that a hold (a row of `selectors.holds_expiring`) ends soon."""
    return {
        "reservation": row["reservation"],
        "expires_at": row["expires_at"].isoformat().replace("+00:00", "Z"),
        "expires_in": seconds_left(row["expires_at"], now=now),
    }


def seconds_left(until: datetime, *, now: datetime) -> int:
    """Return the seconds until an instant, rounded to a whole number; 0 if it has passed."""
    return max(0, round((until - now).total_seconds()))


def reservation(row: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return a reservation (a row of `selectors.reservation_rows`) as clients see it.

    `expires_in` is in whole seconds, and 0 unless the reservation is live. An ended reservation also has
    `ended_at`. A reservation with a voucher also has `code` and `unit_discount`.
    """
    is_live = row["state"] in LIVE_STATES
    shown = {
        "id": row["id"],
        "order": row["lead_id"] or row["id"],
        "ticket_type": row["ticket_type_id"],
        "event": row["event_id"],
        "amount": row["quantity"],
        "unit_price": money.to_text(row["unit_price_minor"], row["currency"]),
        "total": money.to_text(row["unit_price_minor"] * row["quantity"], row["currency"]),
        "currency": row["currency"],
        "created": row["created"],
        "expires_at": row["expires_at"],
        "expires_in": seconds_left(row["expires_at"], now=now) if is_live else 0,
        "state": row["state"],
        "validated": row["state"] == ReservationState.VALIDATED,
        "version": row["version"],
    }
    if row["ended_at"] is not None:
        shown["ended_at"] = row["ended_at"]
    if row["voucher__text"] is not None:
        shown["code"] = row["voucher__text"]
        shown["unit_discount"] = money.to_text(row["discount_minor"], row["currency"])
    return shown


def order(rows: Sequence[Mapping[str, Any]], *, now: datetime) -> dict[str, Any]:
    """Return an order from the rows of its reservations. Its total leaves out reservations that have ended."""
    currency = rows[0]["currency"]
    minor = sum(row["unit_price_minor"] * row["quantity"] for row in rows if row["ended_at"] is None)
    return {
        "order": rows[0]["lead_id"] or rows[0]["id"],
        "reservations": [reservation(row, now=now) for row in rows],
        "total": money.to_text(minor, currency),
        "currency": currency,
    }


def events(rows: Sequence[Mapping[str, Any]], left: Mapping[int, Sequence[int]]) -> list[dict[str, Any]]:
    """Return a page of the list of events. `left` maps each event to the ids of its types with tickets left."""
    return [
        {"id": row["id"], "name": row["name"], "date": row["date"], "tickets": list(left.get(row["id"], ()))}
        for row in rows
    ]
