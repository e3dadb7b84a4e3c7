"""The app's SQL, where the ORM has no equivalent. The functions of migrations are in files beside this one."""

from pathlib import Path

from checkout.models import Payment
from overlord.kernel.db import columns

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
# An abandoned payment stays one, and keeps a later look.
PAYMENT_TAKE = (
    "UPDATE checkout_payment p SET lease_until = %(until)s, attempts = p.attempts + 1, version = p.version + 1,"  # noqa: S608
    " status = CASE p.status WHEN %(abandoned)s THEN p.status ELSE %(processing)s END,"
    " next_look_at = CASE p.status WHEN %(abandoned)s THEN GREATEST(p.next_look_at, %(until)s) ELSE %(until)s END"
    " WHERE p.id = %(payment)s AND (p.lease_until IS NULL OR p.lease_until <= %(now)s)"
    " AND (p.status = ANY(%(in_flight)s) OR p.status = %(abandoned)s)"
    f" RETURNING {columns(Payment, of='p')}"
)
OWN_PAYMENT_LOCK = f"{_PAYMENT} AND p.buyer_id = %(buyer)s FOR NO KEY UPDATE"
PAYMENTS_OF_ORDERS = f"{_PAYMENTS} WHERE p.reservation_id = ANY(%(orders)s) ORDER BY p.id DESC"
