"""What a buyer's own screens show: reservations and the payments of them."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from checkout import selectors
from overlord.kernel import clock
from realtime import publish, streams
from tickets import selectors as tickets

VALIDATED_SHOWN = 50
ENDED_SHOWN_FOR = timedelta(minutes=15)


def project_buyers(ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Will give the whole state of buyers' own streams."""
    now = clock.now()
    reservations = tickets.reservations_shown(
        buyer_ids=ids, since=now - ENDED_SHOWN_FOR, validated=VALIDATED_SHOWN, now=now
    )
    shown = [reservation["id"] for mine in reservations.values() for reservation in mine]
    payments = selectors.payments_shown(reservation_ids=shown)
    return {
        buyer_id: {"reservations": mine, "payments": payments.get(buyer_id, [])}
        for buyer_id, mine in reservations.items()
    }


def announce(*, buyer_id: int) -> None:
    """Will tell the live side, after a commit, that something of the buyer's changed. It never raises."""
    publish.streams_mark(streams=[streams.me(buyer_id)])
