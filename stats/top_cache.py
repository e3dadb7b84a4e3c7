"""Reads each top five at most once a second in this process, however many ask for it.

Shared by all threads of a web process. While one thread reads, the others that ask for the same five wait for it.
A read costs O(ticket types), because an index on a counter would be written by each claim.
"""

import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from stats import selectors

SECONDS = 1.0


@dataclass
class _Kept:
    """A top five, and when it was read, by `monotonic()`, taken before the read."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    read_at: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = {order: _Kept() for order in selectors.Order}


def events_top(*, by: selectors.Order) -> list[dict[str, Any]]:
    """Return the five events that are highest by a figure, as they were at most a second ago."""
    kept = _kept[by]
    with kept.lock:
        now = monotonic()
        if kept.read_at is None or now - kept.read_at >= SECONDS:
            kept.rows = selectors.events_top(by=by)
            kept.read_at = now
        return kept.rows


def forget() -> None:
    """Remove all that is kept."""
    for kept in _kept.values():
        kept.read_at = None
