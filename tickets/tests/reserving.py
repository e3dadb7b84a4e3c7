"""Reserve, expire and watch ticket types: for the tests of this app and of the apps above."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, connections
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from tickets import services, sql
from tickets.models import Reservation, TicketType

RESERVATIONS = "/event/reservations/"
HOLD = timedelta(minutes=15)
LOOKS = 12_000  # for a lock, five milliseconds apart: a minute, also enough on a busy machine


def reserve(api: APIClient, ticket_type: TicketType | int, amount: Any = 1, **headers: str) -> Any:
    """Claim tickets by the API; return the answer."""
    pk = ticket_type.pk if isinstance(ticket_type, TicketType) else ticket_type
    return api.post(RESERVATIONS, {"ticket_type": pk, "amount": amount}, format="json", headers=headers)


def claim(
    buyer_id: int,
    ticket_type: TicketType,
    quantity: int = 1,
    key: str | None = None,
    now: datetime | None = None,
) -> services.Reserved:
    """Claim tickets by the service, for 15 minutes."""
    return services.reservation_create(
        buyer_id=buyer_id,
        ticket_type=ticket_type.pk,
        quantity=quantity,
        key=key,
        hold=HOLD,
        now=now or timezone.now(),
    )


def outcomes(results: list[object]) -> Counter[str]:
    """Count the granted claims as `won`, the others by the code of their error or the name of its type."""
    return Counter(
        "won"
        if isinstance(result, services.Reserved)
        else getattr(result, "code", None) or type(result).__name__
        for result in results
    )


class Witness:
    """A thread that reads an inventory while others change it. `broken` has the readings that were wrong."""

    def __init__(self, ticket_type: TicketType) -> None:
        self.ticket_type = ticket_type
        self.readings = 0
        self.broken: list[tuple[int, ...]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _read(self) -> None:
        try:
            is_last = False
            while not is_last:
                is_last = self._done.is_set()  # so that the state at the end is read too
                [row] = db.rows(
                    "SELECT i.held, i.sold, i.capacity, r.held AS really_held, r.sold AS really_sold"
                    " FROM tickets_inventory i, LATERAL (SELECT"
                    "   COALESCE(sum(quantity) FILTER (WHERE state IN ('held', 'paying')), 0) AS held,"
                    "   COALESCE(sum(quantity) FILTER (WHERE state = 'validated'), 0) AS sold"
                    "   FROM tickets_reservation WHERE ticket_type_id = i.ticket_type_id) r"
                    " WHERE i.ticket_type_id = %s",
                    [self.ticket_type.pk],
                )
                self.readings += 1
                exact = (row["held"], row["sold"]) == (row["really_held"], row["really_sold"])
                if row["held"] + row["sold"] > row["capacity"] or not exact:
                    self.broken.append(tuple(row.values()))
        finally:
            connections.close_all()


def end(*buyers: User) -> None:
    """Let the buyers' holds be due."""
    Reservation.objects.filter(buyer__in=buyers, state="held").update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )


def waiting_for_a_lock(count: int) -> None:
    """Wait until this number of our backends wait for a lock."""
    for _ in range(LOOKS):
        if _waiters() >= count:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{count} backends never waited for a lock")


def done_or_waiting_for_a_lock(is_done: Callable[[], bool]) -> None:
    """Wait until something is done, or until one of our backends waits for a lock, which prevents it."""
    for _ in range(LOOKS):
        if is_done() or _waiters():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it was not done, and nobody waited for a lock")


def _waiters() -> int:
    """Return how many of our backends wait for a lock."""
    # Without this, a transaction sees only the sessions of its first look.
    db.rows("SELECT pg_stat_clear_snapshot()")
    [row] = db.rows(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(row["n"])


@contextmanager
def function_with(name: str, old: str, new: str) -> Iterator[None]:
    """Replace a part of a function of the database until the end of the block."""
    guarded = sql.text(name)
    assert old in guarded
    with connection.cursor() as cursor:
        cursor.execute(guarded.replace(old, new))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(guarded)
