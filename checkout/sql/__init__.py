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
PAYMENT = f"{_PAYMENTS} WHERE p.id = %(payment)s"
PAYMENT_LOCK = f"{PAYMENT} FOR NO KEY UPDATE"
OWN_PAYMENT_LOCK = f"{PAYMENT} AND p.buyer_id = %(buyer)s FOR NO KEY UPDATE"
PAYMENTS_OF_ORDERS = f"{_PAYMENTS} WHERE p.reservation_id = ANY(%(orders)s) ORDER BY p.id DESC"
