"""What a line shows on its stream, and the call that says that it changed.

One public frame serves all who wait: a browser computes its place, and how many are ahead, from it.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from realtime import publish, streams
from tickets.line import representation, selectors


def project_lines(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the state of the lines of events, as their streams show it."""
    lines, openings = selectors.lines(ids), selectors.openings(ids)
    return {
        event_id: representation.line(lines.get(event_id), opens_at=opens_at)
        for event_id, opens_at in openings.items()
    }


def announce_line(*, event_id: int) -> None:
    """Say that a line changed, after the commit."""
    publish.streams_mark(streams=[streams.line(event_id)])
