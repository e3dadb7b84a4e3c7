"""The two systems that are compared: how large each is, and what is asked of it.

All of it is arithmetic over numbers, so that whoever fills, asks or probes a system knows what there is. An
event n has the ticket type 2n - 1, those of an even number 2n too; a client's ten reservations lie side by side.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from benchmarks import sale

BEGIN = datetime(2040, 1, 1, tzinfo=UTC)  # of the event 0; each that follows begins a minute later
EACH = 10  # reservations of a client
CLIENTS = 100  # of them ask, in either system: whom a process knows does not depend on the size
SWEEPER = "sweeper, nothing due"
LISTED = 100  # events on the page of stats that is compared: all that the small system has
PAGE = 1000  # and on a full one


@dataclass(frozen=True)
class Size:
    name: str
    events: int
    reservations: int

    @property
    def clients(self) -> int:
        return self.reservations // EACH

    @property
    def staff(self) -> int:
        """The id of a member of staff, who comes after the clients."""
        return self.clients + 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, the answer's status, and of which event and how many rows it is."""

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
    """Will give what is asked, by name: the nth request of each."""
    chosen = random.Random(7)  # noqa: S311  (the same in every run)

    def client(nth: int) -> int:
        return 1 + nth % CLIENTS * (size.clients // CLIENTS)

    def event() -> int:
        return chosen.randint(1, size.events)

    def detail(_: int) -> Asked:
        n = event()
        return Asked(path=f"/event/events/{n}/", event=n)

    def ticket_type(_: int) -> Asked:
        n = event()
        return Asked(path=f"/event/tickets/{2 * n - 1}/", event=n)

    def mine(nth: int) -> Asked:
        return Asked(path="/event/reservations/", user=client(nth))

    def reserve(nth: int) -> Asked:
        # Past the events of which the client has reservations, each time the next.
        n = (client(nth) * EACH + EACH + nth // CLIENTS) % size.events + 1
        body = json.dumps({"ticket_type": 2 * n - 1, "amount": 1})
        return Asked(path="/event/reservations/", method="POST", user=client(nth), body=body, status=201)

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
    """Will ask for the stats of the events that follow one."""
    cursor = urlencode({"after": f"{_date(event).isoformat()}~{event}"})
    return Asked(path=f"/stats/events/?{cursor}", user=size.staff, rows=rows)


def top(size: Size) -> Asked:
    return Asked(path="/stats/events/top_selling/", user=size.staff, rows=5)


def _page(after: int) -> str:
    """The page that follows an event, by such a cursor as the API itself hands out."""
    cursor = f"after~{_date(after).isoformat()}~{after}"
    return f"/event/events/?{urlencode({'cursor': cursor})}"


def _date(event: int) -> datetime:
    return BEGIN + timedelta(minutes=event)
