"""The content of the monitor, for the `/monitor/` page and the `stats` stream.

The cost of every read is limited: counters are read by ticket type, minutes by their key, reservations by an index
and a limit. The module reads only PostgreSQL, because it runs in the transaction of a flush. The figures that only
Redis has are those of the last reading.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Sum

from overlord.kernel import db, money
from stats import monitor_events, representation, selectors, sql
from stats.models import Minute, Reading
from tickets.admission import selectors as admission
from tickets.line import selectors as lines
from tickets.line.figures import line_figures
from tickets.line.models import Line
from tickets.models import Inventory

MINUTES = 60
FEED = 50
LISTED = 10
COUNTED = 1000  # a count of rows stops here, which limits its cost
LATEST_PAYMENTS = 500
# The last minute is counted from a reading that is at least LAST old, and at most LAST + GAP, if there is one.
LAST, GAP = timedelta(minutes=1), timedelta(seconds=5)
DOORS = 3
LINES = 3
DOORS_OPEN = timedelta(hours=12)  # before an event begins, and after it begins or ends
LATELY = timedelta(minutes=5)
DOOR_COLUMNS = ("id", "name", "date", "time_zone", "admitted", "tickets", "conflicts")

COUNTERS = {
    "reserved": "reservations",
    "tickets": "reserved_tickets",
    "paid": "reservations_paid",
    "expired": "reservations_expired",
    "failed": "payments_failed",
    "capacity": "capacity",
    "held": "held",
    "sold": "sold",
}


def content(*, now: datetime) -> dict[str, Any]:
    """Read all that the monitor shows, as a dict of plain data. Times are datetimes, money is a decimal string."""
    reading = Reading.objects.filter(pk=Reading.ONLY).first()
    minutes, shown = _minutes(now), _totals(now)
    happened = db.rows(sql.FEED, {"most": FEED})
    return {
        "read_at": now,
        "sampled_at": reading.at if reading else None,
        **shown,
        "minutes": minutes,
        "last_minute": _last_minute(reading, shown["funnel"], now=now),
        "events": monitor_events.events_live(happened=happened, now=now),
        "doors": _doors(now),
        "lines": _lines(now),
        "top_events": [
            representation.event(row) for row in selectors.events_top(by=selectors.Ranking.RESERVATIONS)
        ],
        "holds": _holds(now),
        "payments": _payments(now, last_hour=minutes),
        "system": reading.system if reading else {},
        "feed": [_feed_entry(row) for row in happened],
    }


def counters() -> dict[str, int]:
    """Return the figures of COUNTERS, summed over all ticket types."""
    sums = Inventory.objects.aggregate(**{name: Sum(column, default=0) for name, column in COUNTERS.items()})
    return {name: int(total) for name, total in sums.items()}


def _totals(now: datetime) -> dict[str, Any]:
    """Return the counters and the money, summed over all ticket types except for `selectors.UNSEEN`.

    `free` counts only tickets of sales that go on: what a past or cancelled event did not sell is not available.
    """
    by_currency: list[Any] = list(
        selectors.inventories_seen()
        .values(currency=F("ticket_type__event__currency"))
        .annotate(
            taken_minor=Sum("revenue_minor"),
            free=Sum(F("capacity") - F("held") - F("sold"), filter=selectors.goes_on(now=now), default=0),
            **{f"all_{name}": Sum(column) for name, column in COUNTERS.items()},
        )
        .order_by("currency")
    )
    total = {name: sum(int(row[f"all_{name}"]) for row in by_currency) for name in COUNTERS}
    return {
        "totals": {
            "capacity": total["capacity"],
            "held": total["held"],
            "sold": total["sold"],
            "free": sum(int(row["free"]) for row in by_currency),
            "reservations": total["reserved"],
            "reserved_tickets": total["tickets"],
        },
        "money": [
            {"currency": row["currency"], "amount": money.to_text(row["taken_minor"], row["currency"])}
            for row in by_currency
            if row["taken_minor"] > 0
        ],
        "funnel": {name: total[name] for name in ("reserved", "paid", "expired", "failed")},
    }


def _minutes(now: datetime) -> list[dict[str, Any]]:
    """Return the figures of each minute of the last hour, the present minute last. A quiet minute has zeros."""
    present = now.replace(second=0, microsecond=0)
    known: dict[datetime, dict[str, Any]] = {
        row["minute"]: {**row} for row in Minute.objects.filter(minute__gt=present - _span(MINUTES)).values()
    }
    silent = {"reserved": 0, "paid": 0, "expired": 0, "failed": 0}
    hour = [present - _span(back) for back in range(MINUTES - 1, -1, -1)]
    return [known.get(minute, {"minute": minute, **silent}) for minute in hour]


def _last_minute(reading: Reading | None, total: Mapping[str, int], *, now: datetime) -> dict[str, int]:
    """Return how many reservations were made and paid in the last sixty seconds.

    The count begins at the reading of a minute ago, or else at the first later reading. Without both it is zero.
    """
    kept = [(datetime.fromisoformat(at), *counts) for at, *counts in (reading and reading.recent) or []]
    before = [each for each in kept if now - LAST - GAP <= each[0] <= now - LAST]
    since = [each for each in kept if each[0] > now - LAST]
    base = before[-1] if before else since[0] if since else None
    if base is None:
        return {"reserved": 0, "paid": 0}
    return {"reserved": max(0, total["reserved"] - base[1]), "paid": max(0, total["paid"] - base[2])}


def _span(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


def doors_open(*, now: datetime) -> list[dict[str, Any]]:
    """Read the admissions at the doors that are open: those of DOORS events that have scans, sorted by date.

    A door is open from DOORS_OPEN before its event begins until DOORS_OPEN after that, or after the event's end.
    """
    return admission.doors(after=now - DOORS_OPEN, before=now + DOORS_OPEN, most=DOORS, now=now)


def _doors(now: datetime) -> list[dict[str, Any]]:
    """Return the admissions at the open doors: in total, by minute, and by gate (`lately`: those within LATELY)."""
    return [
        {
            **{name: door[name] for name in DOOR_COLUMNS},
            "gates": [
                {**gate, "lately": _lately(door["minutes"], gate["gate"], now=now)} for gate in door["gates"]
            ],
            "minutes": [_minute_at_gate(each) for each in reversed(door["minutes"])],
        }
        for door in doors_open(now=now)
    ]


def _minute_at_gate(each: Mapping[str, Any]) -> dict[str, Any]:
    minute = datetime.fromisoformat(each["minute"])
    return {**each, "key": f"{each['minute']} {each['gate']}", "minute": minute}


def _lines(now: datetime) -> list[dict[str, Any]]:
    """Return the figures of the first LINES lines, by id, with people to draw or to serve."""
    return [_line(each, now=now) for each in lines.lines_at_work(now=now)[:LINES]]


def _line(line: Line, *, now: datetime) -> dict[str, Any]:
    figures = line_figures(event_id=line.pk, now=now)
    return {
        "id": line.pk,
        "name": line.event.name,
        "date": line.event.date,
        "time_zone": line.event.time_zone,
        "status": "held" if line.is_held else "standing" if line.is_standing else line.phase,
        "entered": line.entered,
        "served": line.served,
        "per_minute": line.per_minute or None,
        "ends_at": figures.ends_at,
        **{state: figures.states[state] for state in ("waiting", "given", "passed")},
        "wishes": [
            {"id": each.ticket_type, "name": each.name, "wished": each.wished, "there": each.there}
            for each in figures.wishes
        ],
        "minutes": [{"minute": minute, "entries": n} for minute, n in reversed(figures.by_minute)],
    }


def _lately(minutes: Sequence[Mapping[str, Any]], gate: str, *, now: datetime) -> int:
    since = now - LATELY
    return sum(
        each["admitted"]
        for each in minutes
        if each["gate"] == gate and datetime.fromisoformat(each["minute"]) > since
    )


def _holds(now: datetime) -> dict[str, Any]:
    [row] = db.rows(sql.HOLDS_ENDING, {"now": now, "limit": COUNTED, "first": LISTED})
    return {"within_minute": row["within_minute"], "within_five": row["within_five"], "first": row["first"]}


def _payments(now: datetime, *, last_hour: Sequence[dict[str, Any]]) -> dict[str, Any]:
    [times] = db.rows(sql.PAYMENT_TIMES, {"since": now - _span(MINUTES), "most": LATEST_PAYMENTS})
    [paying] = db.rows(
        sql.PAYING, {"doubtful_since": now - selectors.DOUBTFUL_AFTER, "limit": COUNTED, "first": LISTED}
    )
    failed, paid = (sum(minute[name] for minute in last_hour) for name in ("failed", "paid"))
    return {
        "median_seconds": _rounded(times["median"]),
        "p95_seconds": _rounded(times["p95"]),
        "failed": failed,
        "failure_rate": round(failed / (failed + paid), 3) if failed + paid else None,
        "in_flight": paying["in_flight"],
        "in_doubt": paying["in_doubt"],
        "doubtful": paying["doubtful"],
    }


def _rounded(seconds: Any) -> float | None:
    return None if seconds is None else round(float(seconds), 1)


def _feed_entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": f"{row['what']}-{row['id']}",
        "at": row["at"],
        "what": row["what"],
        "reservation": row["reservation"],
        "event": row["event"],
        "ticket_type": row["ticket_type"],
        "amount": row["quantity"],
        "total": money.to_text(row["unit_price_minor"] * row["quantity"], row["currency"]),
        "currency": row["currency"],
    }
