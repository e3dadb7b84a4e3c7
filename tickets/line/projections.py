"""The content of a line's stream, and the call that announces a change.

One public frame serves everybody in the line. From it each browser computes its place, and how many people are
ahead.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from overlord.kernel.errors import NotFound
from realtime import publish, streams
from tickets.line import representation, selectors


def project_lines(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the state of the lines of events as their streams show it, by event. A draft has no line."""
    lines, names = selectors.lines(ids), selectors.public_names(ids)
    return {
        event_id: representation.line(lines.get(event_id), sale=sale, public_name=names.get(event_id))
        for event_id, sale in selectors.sales(ids, now=now).items()
    }


def line_shown(*, event_id: int, now: datetime) -> dict[str, Any]:
    """Return the state of the line of an event; raise NotFound, also for a draft."""
    shown = project_lines([event_id], now=now)
    if event_id not in shown:
        raise NotFound()
    return shown[event_id]


def announce_line(*, event_id: int) -> None:
    """Announce, after the commit, that a line changed."""
    publish.streams_mark(streams=[streams.line(event_id)])
