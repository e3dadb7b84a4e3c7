"""What a door shows on its stream, and the call that says that it changed.

`project_doors` runs in a flush (Celery), which passes `now`. `announce_door` runs after a commit in whichever
process made the change, and never raises.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from realtime import publish, streams
from tickets.admission import representation, selectors

UPDATE_SECONDS = 1.0  # counting an event's tickets for each scan would cost more than the scans
REFRESH_SECONDS = 3.0  # a ticket that was revoked is refused offline after it


def project_doors(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return who came in to events, as their streams show it."""
    return {row["event"]: representation.door(row) for row in selectors.door_states(ids, now=now)}


def announce_door(*, event_id: int | None) -> None:
    """Say that tickets or scans of an event changed, after the commit; None is a scan of no event."""
    if event_id is not None:
        publish.streams_mark(streams=[streams.door(event_id)])
