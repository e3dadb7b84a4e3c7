"""Steps inside the transaction of `services.sample`, for the last reading, the minutes and the ranks of events."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from overlord.kernel import db
from stats import sql
from stats.models import Minute, Reading
from stats.selectors import weights

COUNTED = ("reserved", "paid", "expired", "failed")
RECENT = timedelta(minutes=1)
RANKED = 500  # events, by id, whose ranks one sample updates
LATEST = 500  # of the latest reservations, and as many sales: the ranks of their events are updated too


def reading_lock() -> Reading:
    """Lock and return the last reading; if there is none, make one without a time."""
    db.transaction_required()
    Reading.objects.get_or_create(pk=Reading.ONLY)
    return Reading.objects.select_for_update().get(pk=Reading.ONLY)


def reading_take(
    *, reading: Reading, totals: Mapping[str, int], system: dict[str, Any], now: datetime
) -> None:
    """Add the rise of the counters since a locked reading to the minute of `now`, and replace the reading.

    The first reading adds nothing.
    """
    db.transaction_required()
    rise = {name: max(0, totals[name] - getattr(reading, name)) for name in COUNTED}
    if reading.at is not None and any(rise.values()):
        _minute_add(now.replace(second=0, microsecond=0), rise)
    for name in COUNTED:
        setattr(reading, name, totals[name])
    reading.recent = _recent(reading.recent or [], [now.isoformat(), totals["reserved"], totals["paid"]], now)
    reading.at, reading.system = now, system
    reading.save()


def _recent(kept: list[list[Any]], latest: list[Any], now: datetime) -> list[list[Any]]:
    """Return the readings of the last minute and, before them, the reading from which that minute is counted."""
    old = [each for each in kept if datetime.fromisoformat(each[0]) <= now - RECENT]
    return [*old[-1:], *kept[len(old) :], latest]


def _minute_add(minute: datetime, rise: Mapping[str, int]) -> None:
    Minute.objects.get_or_create(minute=minute)
    Minute.objects.filter(minute=minute).update(**{name: F(name) + by for name, by in rise.items()})


def events_rank(*, reading: Reading) -> None:
    """Update the ranks of the next RANKED events by id, and of the events with the latest reservations and sales.

    Set `reading.ranked_to` to the id after which the next call begins; `reading_take` saves it. After the last
    event, the next call begins with the first one.
    """
    db.transaction_required()
    values = {"after": reading.ranked_to, "most": RANKED, "latest": LATEST, "weights": weights()}
    [row] = db.rows(sql.EVENTS_RANK, values)
    reading.ranked_to = row["last"] if row["number"] == RANKED else 0
