"""Actions of staff on an incident."""

from collections.abc import Collection
from datetime import datetime

from checkout import operations
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db


def incidents_close(*, staff_id: int, ids: Collection[int], now: datetime) -> int:
    """Close those of these incidents that are open, and return how many were closed."""
    with db.transaction():
        return close_and_record(staff_id=staff_id, ids=ids, now=now)


def close_and_record(*, staff_id: int, ids: Collection[int], now: datetime) -> int:
    """Close incidents inside an open transaction, and add an entry to the journal for each; return how many."""
    payments = operations.incidents_close(ids=ids, now=now)
    for payment_id, order_id in payments:
        journal.entry_add(
            actor_id=staff_id,
            action=Action.INCIDENT_CLOSED,
            order_id=order_id,
            now=now,
            payment=payment_id,
        )
    return len(payments)
