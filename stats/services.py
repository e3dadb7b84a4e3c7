"""The one use case of stats: read the counters regularly, in a transaction."""

from datetime import datetime
from typing import Any

from overlord.kernel import db
from stats import monitor, operations


def sample(*, system: dict[str, Any], now: datetime) -> None:
    """Read the counters, add their rise since the last reading to the minute of `now`, and update some ranks.

    `system` is the result of `system.state`. The reading is locked before the counters are read, so that two
    samples at the same time count nothing twice. A counter that fell counts as unchanged. A counter falls only if
    somebody deletes rows by hand.
    """
    with db.transaction():
        reading = operations.reading_lock()
        operations.events_rank(reading=reading)
        operations.reading_take(reading=reading, totals=monitor.counters(), system=system, now=now)
