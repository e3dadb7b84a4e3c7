"""Use cases of stats: reading the counters. The only place of this app where a transaction opens."""

from datetime import datetime
from typing import Any

from overlord.kernel import db
from stats import monitor, operations


def sample(*, system: dict[str, Any], now: datetime) -> None:
    """Read the counters, add their rise since the last reading to the minute of `now`, and compare ranks.

    The reading is locked before the counters are read, so two samples at once count nothing twice. A counter that
    fell, because a ticket type was deleted, counts as unchanged.
    """
    with db.transaction():
        reading = operations.reading_lock()
        operations.events_rank(reading=reading)
        operations.reading_take(reading=reading, totals=monitor.counters(), system=system, now=now)
