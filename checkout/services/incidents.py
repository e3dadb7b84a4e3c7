"""What staff have looked at."""

from collections.abc import Collection
from datetime import datetime

from checkout.models import Incident
from overlord.kernel import db


def incidents_close(*, ids: Collection[int], now: datetime) -> int:
    """Will close open incidents and count them."""
    with db.transaction():
        return Incident.objects.filter(pk__in=ids, closed_at=None).update(closed_at=now)
