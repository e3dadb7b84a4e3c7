"""How an event, a ticket type and a reservation look to clients: one shape, for HTTP and sockets alike.

Plain functions from rows to dicts. What changes with every sale (`Figures`) is apart from what staff edit, so
that the one can be cached as versioned values while the other stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from overlord.kernel import money
from tickets import rules


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
    version: int
    next_release_at: datetime | None

    def as_plain(self) -> dict[str, Any]:
        """Will give what a cache can keep as JSON."""
        return dict(vars(self))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Figures":
        """Will read what `as_plain` gave, after its passage through JSON; raises KeyError or ValueError."""
        times = {name: _instant(plain[name]) for name in ("opens_at", "closes_at", "next_release_at")}
        return cls(**{**plain, **times})


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def event_detail(
    static: Mapping[str, Any], figures: Mapping[int, Figures], *, now: datetime
) -> dict[str, Any]:
    """Will show an event with its ticket types, as `GET /event/events/<id>/` and its stream do.

    `static` is a row of `selectors.events_static`; `figures` has each of its ticket types.
    """
    tickets = [ticket_type(static, each, figures[each["id"]], now=now) for each in static["ticket_types"]]
    return {
        "id": static["id"],
        "name": static["name"],
        "date": static["date"],
        "time_zone": static["time_zone"],
        "description": static["description"],
        "currency": static["currency"],
        "sale": rules.event_sale_state((ticket["sale"] for ticket in tickets), date=static["date"], now=now),
        "version": static["version"] + sum(ticket["version"] for ticket in tickets),
        "server_time": now,
        "tickets": tickets,
    }


def ticket_type(
    event: Mapping[str, Any], static: Mapping[str, Any], figures: Figures, *, now: datetime
) -> dict[str, Any]:
    """Will show one ticket type with its live figures."""
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
        "sale": rules.sale_state(
            opens_at=figures.opens_at, closes_at=figures.closes_at, paused=figures.paused, now=now
        ),
        "opens_at": figures.opens_at,
        "closes_at": figures.closes_at,
        "next_release_at": figures.next_release_at,
        "version": figures.version,
    }


def events_next(rows: Sequence[Mapping[str, Any]], *, now: datetime) -> list[dict[str, Any]]:
    """Will show the next events (rows of `selectors.events_next`) as the stream of all events does."""
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "date": row["date"],
            "sale": rules.event_sale_state(
                (
                    rules.sale_state(
                        opens_at=each["opens_at"], closes_at=each["closes_at"], paused=each["paused"], now=now
                    )
                    for each in row["types"]
                ),
                date=row["date"],
                now=now,
            ),
            "available": sum(each["left"] for each in row["types"]),
        }
        for row in rows
    ]


def expiring(row: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Will show the advice that a hold (a row of `selectors.holds_expiring`) is near its end."""
    return {
        "reservation": row["reservation"],
        "expires_at": row["expires_at"].isoformat().replace("+00:00", "Z"),
        "expires_in": seconds_left(row["expires_at"], now=now),
    }


def seconds_left(until: datetime, *, now: datetime) -> int:
    """Will count the whole seconds left, never fewer than none."""
    return max(0, round((until - now).total_seconds()))


def reservation(row: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Will show a reservation (a row of `selectors.reservation_rows`); ended ones have `ended_at` too.

    `expires_in` is in whole seconds, 0 when it no longer counts down.
    """
    counting = row["state"] in ("held", "paying")
    shown = {
        "id": row["id"],
        "ticket_type": row["ticket_type_id"],
        "event": row["event_id"],
        "amount": row["quantity"],
        "unit_price": money.to_text(row["unit_price_minor"], row["currency"]),
        "total": money.to_text(row["unit_price_minor"] * row["quantity"], row["currency"]),
        "currency": row["currency"],
        "created": row["created"],
        "expires_at": row["expires_at"],
        "expires_in": seconds_left(row["expires_at"], now=now) if counting else 0,
        "state": row["state"],
        "validated": row["state"] == "validated",
        "version": row["version"],
    }
    if row["ended_at"] is not None:
        shown["ended_at"] = row["ended_at"]
    return shown


def events(rows: Sequence[Mapping[str, Any]], left: Mapping[int, Sequence[int]]) -> list[dict[str, Any]]:
    """Will show a page of the events list; `left` has the ids of an event's types with tickets left."""
    return [
        {"id": row["id"], "name": row["name"], "date": row["date"], "tickets": list(left.get(row["id"], ()))}
        for row in rows
    ]
