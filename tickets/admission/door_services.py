"""Use cases of the door: scan, undo an admission, and read the list of a door. They open transactions."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets.admission import codes, operations, projections, representation, rules, selectors, sql
from tickets.admission.known_keys import known_key


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The code or the serial that was shown at a gate.

    `scan_id` is the id of the scan, and `at` its time by the clock of the device.
    """

    scan_id: UUID
    code: str = ""
    serial: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A ticket's serial, or the content of a code that a key of its event signed, or nothing."""

    serial: str | None = None
    ticket: int | None = None
    issue: int | None = None
    key: int | None = None


def scan_make(
    *,
    shown: Shown,
    event_id: int | None,
    gate: str,
    actor_id: int,
    now: datetime,
    unchecked: bool = False,
) -> dict[str, Any]:
    """Record a scan, admit its ticket if it can be admitted, and return the answer.

    A repeated scan gets the first answer. Without `event_id`, the event is that of the ticket. `unchecked` means
    that the gate had no network and has let the holder in already. Raise NotFound if there is no such event, except
    for an `unchecked` scan: it is recorded in any case.
    """
    found = db.statement(
        sql.SCAN_ANSWER,
        {
            "scan_id": shown.scan_id,
            **asdict(_shown_read(shown)),
            "event": event_id,
            "gate": gate,
            "actor": actor_id,
            "at": rules.scanned_at(shown.at, now=now),
            "now": now,
            "unchecked": unchecked,
        },
    )
    if not found:
        raise NotFound()
    scan = selectors.scan_of_row(found[0])
    if scan["result"] == rules.ScanResult.OTHER_EVENT:
        # Events of a series have the same name, so this answer says the date. Other answers do not name the event.
        scan["ticket"] |= selectors.event_time(event_id=scan["ticket"]["event_id"])
    if scan["recorded_at"] != now:  # an earlier request made this scan
        db.commits_await()
    projections.announce_scan(scan)
    return representation.scan_answer(scan)


def _shown_read(shown: Shown) -> _Read:
    """Return the serial, or the content of the code if a key of its event signed it, otherwise nothing."""
    if shown.serial:
        return _Read(serial=rules.serial_read(shown.serial))
    try:
        content, raw = codes.code_read(shown.code.strip())
    except codes.NotACode:
        return _Read()
    key = known_key(content.key)
    if key is None or key.event != content.event or not codes.is_signed(raw, key.public):
        return _Read()
    return _Read(ticket=content.ticket, issue=content.issue, key=content.key)


def admission_undo(*, scan_id: UUID, actor_id: int, now: datetime) -> dict[str, Any]:
    """Undo the admission that a scan made, so that its ticket opens the door again; return the scan.

    A second undo changes nothing. Raise NotFound, and NotAdmitted for a scan that admitted nobody.
    """
    with db.transaction():
        scan_pk = operations.admission_undo(scan_id=scan_id, actor_id=actor_id, now=now)
    [scan] = selectors.scans(ids=[scan_pk])
    projections.announce_door(event_id=scan["event_id"])
    return representation.scan(scan)


def door_list(*, event_id: int, since: int) -> dict[str, Any]:
    """Return the list with which a door of an event works without a network, or its changes since a version.

    `since` is the version of the list that the door has, or 0. Raise NotFound if there is no such event, and for a
    draft.
    """
    types = selectors.types_of(event_id=event_id)
    if not types and not selectors.has_door(event_id=event_id):
        raise NotFound()
    found = selectors.door_list(event_id=event_id, since=since)
    return representation.door_list(
        found, event_id=event_id, keys=selectors.keys_of(event_id=event_id), types=types
    )
