"""Use cases of the door: scan, undo, and what a door must know. Like `services`, it opens transactions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission import codes, operations, projections, representation, rules, selectors, sql
from tickets.admission.codes import Content
from tickets.admission.rules import ScanResult


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A scan at a gate: of a code, or else a serial.

    `scan_id` is its id; `at` is the time by the clock of its device.
    """

    scan_id: UUID
    code: str = ""
    serial: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The ticket of a code or a serial. `refused`: it opens nothing, whatever the state of the ticket is."""

    ticket: int | None
    issue: int | None = None
    refused: ScanResult | None = None


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

    The same scan again gets the first answer. Without an event, the event is that of the ticket. `unchecked`: the
    gate had no network and has let the holder in. Raise NotFound for no such event.
    """
    read = _shown_read(shown, event_id=event_id, now=now)
    [row] = db.statement(
        sql.SCAN_MAKE,
        {
            "scan_id": shown.scan_id,
            "ticket": read.ticket,
            "issue": read.issue,
            "refused": read.refused,
            "event": event_id,
            "gate": gate,
            "actor": actor_id,
            "at": rules.scanned_at(shown.at, now=now),
            "now": now,
            "unchecked": unchecked,
        },
    )
    scan = selectors.scan_of_row(row)
    if scan["recorded_at"] != now:  # an earlier request had made it
        db.commits_await()
    projections.announce_scan(scan)
    return representation.scan_answer(scan)


def _shown_read(shown: Shown, *, event_id: int | None, now: datetime) -> _Read:
    """Read a serial, or a code and its signature. A code that no key of its event signed names no ticket."""
    serial = rules.serial_read(shown.serial) if shown.serial else None
    content, raw = _code_read(shown.code) if serial is None else (None, b"")
    facts = selectors.scan_facts(event_id=event_id, key_id=content.key if content else None, serial=serial)
    if not facts["event_known"]:
        raise NotFound()
    if serial is not None:
        return _Read(ticket=facts["ticket_of_serial"])
    if content is None or facts["key_event"] != content.event:
        return _Read(ticket=None)
    if not codes.is_signed(raw, bytes(facts["public_key"])):
        return _Read(ticket=None)
    retired = facts["retired_at"] is not None and facts["retired_at"] <= now
    refused = ScanResult.REVOKED if retired else None
    return _Read(ticket=content.ticket, issue=content.issue, refused=refused)


def _code_read(code: str) -> tuple[Content | None, bytes]:
    try:
        return codes.code_read(code.strip())
    except codes.NotACode:
        return None, b""


def admission_undo(*, scan_id: UUID, actor_id: int, now: datetime) -> dict[str, Any]:
    """Undo the admission that a scan made, so that its ticket opens the door again; return the scan.

    Undoing it again changes nothing. Raise NotFound, and NotAdmitted for a scan that admitted nobody.
    """
    with db.transaction():
        scan_pk = operations.admission_undo(scan_id=scan_id, actor_id=actor_id, now=now)
    [scan] = selectors.scans(ids=[scan_pk])
    projections.announce_door(event_id=scan["event_id"])
    return representation.scan(scan)


def door_list(*, event_id: int, since: int) -> dict[str, Any]:
    """Return what a door of an event must know to work without a network; `since` the version it has, or 0.

    Raise NotFound for no such event.
    """
    types = selectors.types_of(event_id=event_id)
    if not types and tickets.event_time_zone(event_id) is None:
        raise NotFound()
    found = selectors.door_list(event_id=event_id, since=since)
    return representation.door_list(
        found, event_id=event_id, keys=selectors.keys_of(event_id=event_id), types=types
    )
