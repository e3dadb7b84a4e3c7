"""Use cases of stats: reading the counters."""

from datetime import datetime
from typing import Any

from django.db.models import F

from overlord.kernel import db
from stats import monitor
from stats.models import Minute, Reading

COUNTED = ("reserved", "paid", "expired", "failed")


def sample(*, system: dict[str, Any], now: datetime) -> None:
    """Will add what the counters moved since the last reading to the minute of `now`.

    The reading's lock is taken before the counters are read, so two samples at once count nothing twice. A
    counter that fell (a ticket type was deleted) counts as unmoved.
    """
    with db.transaction():
        reading, is_first = _reading_lock()
        total = monitor.counters()
        moved = {name: max(0, total[name] - getattr(reading, name)) for name in COUNTED}
        if not is_first and any(moved.values()):
            _minute_add(now.replace(second=0, microsecond=0), moved)
        for name in COUNTED:
            setattr(reading, name, total[name])
        reading.at, reading.system = now, system
        reading.save()


def _reading_lock() -> tuple[Reading, bool]:
    reading, _ = Reading.objects.get_or_create(pk=Reading.ONLY)
    reading = Reading.objects.select_for_update().get(pk=reading.pk)
    return reading, reading.at is None


def _minute_add(minute: datetime, moved: dict[str, int]) -> None:
    Minute.objects.get_or_create(minute=minute)
    Minute.objects.filter(minute=minute).update(**{name: F(name) + by for name, by in moved.items()})
