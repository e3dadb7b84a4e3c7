"""Define the sizes of the two systems that are compared, and the requests that they get.

All of it is computed from numbers, so the modules that fill a system, send it requests and probe it agree about its
rows. Event n has the ticket type 2n - 1, and 2n too if n is even. A buyer's ten reservations have consecutive ids.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from benchmarks import sale

BEGIN = datetime(2040, 1, 1, tzinfo=UTC)  # of the event 0; each that follows begins a minute later
EACH = 10  # reservations of a buyer
BUYERS = 100  # who send requests, in both systems, so that both cache as many tokens
SWEEPER = "sweeper, nothing due"
LISTED = 100  # events on the page of stats that is compared: all of the small system
PAGE = 1000  # events on a full page


@dataclass(frozen=True)
class Size:
    name: str
    events: int
    reservations: int

    @property
    def buyers(self) -> int:
        return self.reservations // EACH

    @property
    def staff(self) -> int:
        """Return the id of a member of staff, the next after the buyers."""
        return self.buyers + 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, and the status and the number of rows that its answer must have.

    `event` is the event whose cached copy is deleted before the request, if the request reads one.
    """

    path: str
    method: str = "GET"
    user: int | None = None
    body: str | None = None
    status: int = 200
    event: int | None = None
    rows: int | None = None

    @property
    def token(self) -> str | None:
        return None if self.user is None else sale.token(self.user)


def asked(size: Size) -> dict[str, Callable[[int], Asked]]:
    """Return the requests by name, each as a function from n to the nth request."""
    chosen = random.Random(7)  # noqa: S311  (the same in every run)

    def buyer(nth: int) -> int:
        return 1 + nth % BUYERS * (size.buyers // BUYERS)

    def event() -> int:
        return chosen.randint(1, size.events)

    def detail(_: int) -> Asked:
        n = event()
        return Asked(path=f"/event/events/{n}/", event=n)

    def ticket_type(_: int) -> Asked:
        n = event()
        return Asked(path=f"/event/tickets/{2 * n - 1}/", event=n)

    def mine(nth: int) -> Asked:
        return Asked(path="/event/reservations/", user=buyer(nth))

    def reserve(nth: int) -> Asked:
        # An event of which the buyer has no reservation yet, each time the next.
        n = (buyer(nth) * EACH + EACH + nth // BUYERS) % size.events + 1
        body = json.dumps({"ticket_type": 2 * n - 1, "amount": 1})
        return Asked(path="/event/reservations/", method="POST", user=buyer(nth), body=body, status=201)

    return {
        "events, first page": lambda _: Asked(path="/event/events/", rows=25),
        "events, deep page": lambda _: Asked(path=_page(size.events // 2), rows=25),
        "event": detail,
        "ticket type": ticket_type,
        "my reservations": mine,
        "reserve": reserve,
        "stats of events": lambda _: stats_after(size, size.events - LISTED, rows=LISTED),
    }


def stats_after(size: Size, event: int, *, rows: int) -> Asked:
    """Return the request for the page of stats that begins after an event."""
    cursor = urlencode({"after": f"{_date(event).isoformat()}~{event}"})
    return Asked(path=f"/stats/events/?{cursor}", user=size.staff, rows=rows)


def top(size: Size) -> Asked:
    return Asked(path="/stats/events/top_selling/", user=size.staff, rows=5)


def _page(after: int) -> str:
    """Return the path of the page after an event, with a cursor as the API makes it."""
    cursor = f"after~{_date(after).isoformat()}~{after}"
    return f"/event/events/?{urlencode({'cursor': cursor})}"


def _date(event: int) -> datetime:
    return BEGIN + timedelta(minutes=event)
