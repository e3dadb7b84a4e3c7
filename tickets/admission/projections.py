"""The content of the streams of doors and of tickets' pages, and the calls that announce a change.

`project_...` runs in a flush (Celery), which passes `now`. `announce_...` runs after a commit, in the process that
made the change, and never raises.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from realtime import publish, streams
from tickets.admission import links, representation, selectors
from tickets.admission.links import Link, Subject
from tickets.admission.rules import ScanResult

# The least time between two frames. To count an event's tickets at each scan would cost more than the scans.
UPDATE_SECONDS = 1.0
REFRESH_SECONDS = 3.0  # after this time doors know of a revoked ticket, even if the mark was lost


def project_doors(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the admissions of events as their streams show them, by event."""
    return {row["event"]: representation.door(row) for row in selectors.door_states(ids, now=now)}


def announce_door(*, event_id: int | None) -> None:
    """Announce, after the commit, that tickets or scans of an event changed. A scan may have no event (None)."""
    if event_id is not None:
        publish.streams_mark(streams=[streams.door(event_id)])


def announce_scan(scan: Mapping[str, Any]) -> None:
    """Announce a recorded scan to the door, and to the pages of its ticket if the scan admitted it.

    `scan` is what `selectors.scan_of_row` returns.
    """
    if scan["event_id"] is None:
        return
    names = [streams.door(scan["event_id"])]
    if scan["result"] == ScanResult.ADMITTED:
        names += [streams.tickets(link.content) for link in _links_of_scanned(scan["ticket"])]
    publish.streams_mark(streams=names)


def _links_of_scanned(ticket: Mapping[str, Any]) -> list[Link]:
    """Return the links that show a scanned ticket: its order's, and its own when it was handed over."""
    order = Link(subject=Subject.ORDER, id=ticket["order"], number=ticket["order_number"])
    own = Link(subject=Subject.TICKET, id=ticket["id"], number=ticket["issue"])
    return [order, own] if ticket["handed_to"] else [order]


def project_tickets(ids: Collection[str], *, now: datetime) -> dict[str, dict[str, Any]]:
    """Return the state of tickets by the content of their links. A link that no longer works is left out."""
    found = selectors.tickets_live([links.content_read(each) for each in ids])
    return {content: representation.tickets_live(rows) for content, rows in found.items()}


def announce_tickets(*, seen_by: Iterable[Link]) -> None:
    """Announce to the open pages of these links, after the commit, that tickets changed."""
    publish.streams_mark(streams=[streams.tickets(link.content) for link in seen_by])
