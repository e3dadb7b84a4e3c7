"""Make the sale that is measured: buyers with tokens, and ticket types on sale. Check its invariants."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from benchmarks import load
from overlord.kernel import db, redis_client
from realtime import store
from tickets.models import Event, Inventory, TicketType

CAPACITY = 100_000_000

_USERS = """
INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                           date_joined)
SELECT n, '!', false, 'bench-' || n, '', '', 'bench-' || n || '@example.org', false, true, now()
  FROM generate_series(%(first)s, %(last)s) n
"""
_TOKENS = """
INSERT INTO accounts_apitoken (key_hash, user_id, login_epoch, created_at, expires_at)
SELECT encode(sha256(lpad(to_hex(n), 40, '0')::bytea), 'hex'), n, 0, now(), now() + interval '1 day'
  FROM generate_series(%(first)s, %(last)s) n
"""
_TOKENS_KEEP = (
    "UPDATE accounts_apitoken t SET login_epoch = u.login_epoch FROM accounts_user u WHERE u.id = t.user_id"
)
OTHERS_FROM = 1_000_000_000  # the least id of an account that signs up
_OTHERS_FROM = (
    "SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), greatest(%s, max(id))) FROM accounts_user"
)
# Each order is in every table once, and was charged once.
_BOOKS = """
SELECT (SELECT count(*) FROM tickets_reservation) AS reservations,
       (SELECT count(*) FROM tickets_reservation WHERE state = 'validated') AS validated,
       (SELECT sum(sold) FROM tickets_inventory) AS sold,
       (SELECT count(*) FROM checkout_payment) AS payments,
       (SELECT count(*) FROM checkout_payment WHERE status = 'SUCCESS') AS paid,
       (SELECT count(*) FROM sandbox.intents i JOIN checkout_payment p ON p.id = i.payment
         WHERE i.outcome = 'succeeded') AS charged
"""
_IN_FLIGHT = "SELECT count(*) AS count FROM checkout_payment WHERE status IN ('PENDING', 'PROCESSING')"
# Ticket types whose counters and reservations disagree.
_WRONG = """
SELECT i.ticket_type_id FROM tickets_inventory i
  LEFT JOIN (SELECT ticket_type_id,
                    sum(quantity) FILTER (WHERE state IN ('held', 'paying')) AS held,
                    sum(quantity) FILTER (WHERE state = 'validated') AS sold
               FROM tickets_reservation GROUP BY 1) r USING (ticket_type_id)
 WHERE i.held <> COALESCE(r.held, 0) OR i.sold <> COALESCE(r.sold, 0) OR i.held + i.sold > i.capacity
"""


class BrokenError(AssertionError):
    """An arm broke an invariant, so its figures do not count."""


def buyers_make(count: int, *, password: str | None = None) -> None:
    """Make those of the buyers 1 to `count` that are missing, each with a token; with a password all can log in.

    Accounts that sign up meanwhile get higher ids.
    """
    [row] = db.rows(
        "SELECT COALESCE(max(id), 0) AS last FROM accounts_user WHERE starts_with(username, 'bench-')"
    )
    if row["last"] < count:
        span = {"first": row["last"] + 1, "last": count}
        db.rows(_USERS, span)
        db.rows(_TOKENS, span)
        db.rows(_OTHERS_FROM, [OTHERS_FROM])
    if password is not None:
        hashed = make_password(password)
        db.rows("UPDATE accounts_user SET password = %s WHERE id <= %s", [hashed, count])
        db.rows(_TOKENS_KEEP)  # a new password ends the tokens; these stay valid
    db.rows("VACUUM ANALYZE accounts_user, accounts_apitoken")


def token(buyer: int) -> str:
    """Return the buyer's token."""
    return f"{buyer:040x}"


def event_make(*, types: int = 1, capacity: int = CAPACITY, **stock: object) -> list[int]:
    """Make an event with so many ticket types on sale, and return their ids, which are consecutive."""
    date = timezone.now() + timedelta(days=30)
    event = Event.objects.create(name="A concert", date=date, currency="EUR")
    made = [TicketType.objects.create(event=event, name=f"Block {n}", price_minor=1500) for n in range(types)]
    for ticket_type in made:
        Inventory.objects.create(ticket_type=ticket_type, capacity=capacity, closes_at=date, **stock)
    return [ticket_type.pk for ticket_type in made]


def reset() -> None:
    """Delete all reservations and payments, set the counters to zero, and vacuum the tables."""
    db.rows("TRUNCATE tickets_reservation, checkout_payment CASCADE")
    db.rows(
        "UPDATE tickets_inventory SET held = 0, sold = 0, reservations = 0, reserved_tickets = 0,"
        " revenue_minor = 0, reservations_paid = 0, reservations_expired = 0, payments_failed = 0,"
        " version = version + 1"
    )
    db.rows("VACUUM ANALYZE tickets_reservation, tickets_inventory")
    redis_client.connection().delete(*(redis_client.connection().keys(store.value_key("*")) or ["none"]))


def clear() -> None:
    """Delete the events too, and what Redis holds: each benchmark makes its own."""
    db.rows("TRUNCATE tickets_event, tickets_tickettype, tickets_inventory, tickets_reservation CASCADE")
    redis_client.connection().flushdb()


def check(tally: load.Tally | None = None, *, seeded: int = 0) -> None:
    """Raise BrokenError if an invariant does not hold.

    The counters agree with the reservations; the table has exactly the seeded reservations and those that were
    acknowledged; no answer was a server error.
    """
    if wrong := db.rows(_WRONG):
        raise BrokenError(f"Counters and reservations disagree for {wrong[:5]}.")
    if tally is None:
        return
    [row] = db.rows("SELECT count(*) AS made FROM tickets_reservation")
    if (made := row["made"] - seeded) != tally.statuses[201]:
        raise BrokenError(f"{tally.statuses[201]} reservations were acknowledged, {made} exist.")
    if failed := {status: n for status, n in tally.statuses.items() if status >= 500}:
        raise BrokenError(f"The server failed: {failed}")


def books() -> dict[str, int]:
    """Count the orders in each table. All tickets cost something, so each order has a charge."""
    [found] = db.rows(_BOOKS)
    return found


def settle(*, seconds: float) -> None:
    """Wait until no payment is in flight; raise BrokenError when one still is after so long."""
    until = time.monotonic() + seconds
    while left := db.rows(_IN_FLIGHT)[0]["count"]:
        if time.monotonic() > until:
            raise BrokenError(f"{left} payments are in flight after {seconds:.0f} s.")
        time.sleep(0.1)


def event_of(ticket_type: int) -> int:
    """Return the event of a ticket type."""
    return TicketType.objects.get(pk=ticket_type).event_id


def claims(buyers: range, types: list[int]) -> Iterator[bytes]:
    """Yield one claim for each buyer, of the types in turn."""
    for buyer, ticket_type in zip(buyers, cycle(types)):
        body = f'{{"ticket_type": {ticket_type}, "amount": 1}}'
        yield load.request("POST", "/event/reservations/", token=token(buyer), body=body)


def looks(buyers: range) -> Iterator[bytes]:
    """Yield for each buyer the request for the buyer's own reservations."""
    for buyer in buyers:
        yield load.request("GET", "/event/reservations/", token=token(buyer))
