"""The content of a buyer's own stream (`/ws/me/`): reservations and their payments.

`project_buyers` runs in a flush (Celery), which passes `now`. `announce` runs after a commit and never raises.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from checkout import selectors
from realtime import publish, streams
from tickets import selectors as tickets

VALIDATED_SHOWN = 50
ENDED_SHOWN_FOR = timedelta(minutes=15)


def project_buyers(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the whole state of buyers' own streams, by buyer: `reservations` and `payments`, newest first."""
    reservations = tickets.reservations_shown(
        buyer_ids=ids, since=now - ENDED_SHOWN_FOR, validated=VALIDATED_SHOWN, now=now
    )
    orders = {reservation["order"] for mine in reservations.values() for reservation in mine}
    payments = selectors.payments_shown(order_ids=orders)
    return {
        buyer_id: {"reservations": mine, "payments": payments.get(buyer_id, [])}
        for buyer_id, mine in reservations.items()
    }


def announce(*, buyer_id: int, is_urgent: bool = True) -> None:
    """Mark the buyer's stream, because a reservation or payment changed."""
    publish.streams_mark(streams=[streams.me(buyer_id)], is_urgent=is_urgent)
