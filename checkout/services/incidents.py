"""What staff do with an incident."""

from collections.abc import Collection
from datetime import datetime

from checkout import operations
from overlord.kernel import db


def incidents_close(*, ids: Collection[int], now: datetime) -> int:
    """Close open incidents and count them."""
    with db.transaction():
        return operations.incidents_close(ids=ids, now=now)
