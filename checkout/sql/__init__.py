"""The app's SQL statements, where the ORM has no equivalent or is too slow.

The files in this folder have longer statements, and the database's functions.
"""

from functools import lru_cache
from pathlib import Path

from django.db.models import Model

from checkout.models import Payment
from overlord.accounts.models import User
from overlord.kernel.db import columns
from tickets.models import Event, Reservation, TicketType

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """Return the text of `name`.sql in this folder."""
    return (_FOLDER / f"{name}.sql").read_text()


WEBHOOK_NOTE = (
    "INSERT INTO checkout_webhookevent (gateway, event_id, received) VALUES (%(gateway)s, %(event_id)s, %(now)s)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
CANCELLED_COLLECT = text("cancelled_collect")
CANCELLATION_COST = text("cancellation_cost")
INCIDENT_OPEN = (
    "INSERT INTO checkout_incident (cause, payment_id, detail, created)"
    " VALUES (%(cause)s, %(payment)s, %(detail)s, %(now)s) ON CONFLICT DO NOTHING RETURNING id"
)
_PAYMENTS = f"SELECT {columns(Payment, of='p')} FROM checkout_payment p"  # noqa: S608
_PAYMENT = f"{_PAYMENTS} WHERE p.id = %(payment)s"
PAYMENT_LOCK = f"{_PAYMENT} FOR NO KEY UPDATE"
# An abandoned payment stays abandoned, and its next look does not come earlier. The version rises only if the
# status changes: of the columns that this statement writes, clients see only the status. The statement is its own
# transaction, so `now()` is the time at which it begins.
PAYMENT_TAKE = (
    "UPDATE checkout_payment p SET lease_until = now() + %(lease)s, attempts = p.attempts + 1,"  # noqa: S608
    " version = p.version + (p.status = %(pending)s)::int,"
    " status = CASE p.status WHEN %(abandoned)s THEN p.status ELSE %(processing)s END,"
    " next_look_at = CASE p.status WHEN %(abandoned)s THEN GREATEST(p.next_look_at, now() + %(lease)s)"
    " ELSE now() + %(lease)s END"
    " WHERE p.id = %(payment)s AND (p.lease_until IS NULL OR p.lease_until <= now())"
    " AND (p.status = ANY(%(in_flight)s) OR p.status = %(abandoned)s)"
    f" RETURNING {columns(Payment, of='p')}"
)
PAYMENT_ORDER_LOCK = (
    f"SELECT {columns(Payment, of='(l.payment)')}, {columns(Reservation, of='(l.reservation)')},"  # noqa: S608
    f" {columns(TicketType, of='(l.ticket_type)')}, {columns(Event, of='(l.event)')}, clock_timestamp() AS now"
    " FROM payment_order_lock(%(payment)s, %(buyer)s) l"
)
OWN_PAYMENT_LOCK = f"{_PAYMENT} AND p.buyer_id = %(buyer)s FOR NO KEY UPDATE"
PAYMENTS_OF_ORDERS = f"{_PAYMENTS} WHERE p.reservation_id = ANY(%(orders)s) ORDER BY p.id DESC"
PAYMENT_WITH_BUYER = (
    f"SELECT {columns(Payment, of='p')}, {columns(User, of='u')} FROM checkout_payment p"  # noqa: S608
    " JOIN accounts_user u ON u.id = p.buyer_id WHERE p.id = %(payment)s"
)


# Statements for a mail that is owed, of any kind.
@lru_cache
def mail_take(kind: type[Model]) -> str:
    """Return the statement that leases a mail that is owed and counts the attempt; it waits for no lock."""
    table, key = kind._meta.db_table, kind._meta.pk.column
    return (
        f"UPDATE {table} m SET attempts = m.attempts + 1, next_look_at = clock_timestamp() + %(lease)s"  # noqa: S608
        f" WHERE m.{key} = (SELECT {key} FROM {table} WHERE {key} = %(pk)s AND next_look_at IS NOT NULL"
        f" FOR NO KEY UPDATE SKIP LOCKED) RETURNING {columns(kind, of='m')}"
    )


@lru_cache
def mail_done(kind: type[Model]) -> str:
    """Return the statement that marks a mail as no longer owed, and notes the time if it was `sent`.

    It changes nothing if the mail's attempts have changed: staff want the mail again, or another worker has it.
    """
    return (
        f"UPDATE {kind._meta.db_table} SET next_look_at = NULL,"  # noqa: S608
        " sent_at = CASE WHEN %(sent)s THEN clock_timestamp() END"
        f" WHERE {kind._meta.pk.column} = %(pk)s AND attempts = %(attempts)s"
    )
