"""The states of a ticket, the results of scans, and when a ticket may be changed: decisions on plain values.

Nothing here reads a clock, a row or a setting.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from overlord.kernel import texts
from overlord.kernel.errors import Conflict, Invalid
from tickets.rules import ReservationEnded, ReservationState

HOLDER_LENGTH = 100
MOST_ISSUES = 100  # codes that one ticket may have had
GATE_LENGTH = 60
MOST_SCANS = 200  # in one batch
LISTED = 50  # the most in one list: the newest scans, or the first tickets that were found
SEARCH_LENGTH = 200
SHOWN_LENGTH = 300  # longer than a ticket's code: a scanner may read any other code, and that is not an error
OLDEST_SCAN = timedelta(days=7)  # how long a door without a network may keep a scan
SERIAL_LENGTH = 10


class TicketState(StrEnum):
    """The state of a ticket. REVOKED is final. An admitted ticket is valid again when staff undo its admission."""

    VALID = "valid"
    ADMITTED = "admitted"
    REVOKED = "revoked"


class ScanResult(StrEnum):
    """The result of a scan. Only ADMITTED opens the door."""

    ADMITTED = "admitted"
    ALREADY_ADMITTED = "already_admitted"
    REVOKED = "revoked"
    OTHER_EVENT = "other_event"
    UNKNOWN = "unknown"


class NotAdmitted(Conflict):
    code = "not_admitted"
    sentence = "Nobody was admitted with this scan, so there is nothing to undo."


def scanned_at(claimed: datetime | None, *, now: datetime) -> datetime:
    """Return the time of a scan: what its device claims, but not in the future, and at most OLDEST_SCAN ago.

    If the device claims no time, return `now`.
    """
    return now if claimed is None else min(now, max(claimed, now - OLDEST_SCAN))


def serial_read(text: str) -> str:
    """Return a typed serial as serials are stored: in capitals, without spaces and hyphens."""
    return "".join(text.split()).replace("-", "").upper()


class TicketRevoked(Conflict):
    code = "ticket_revoked"
    sentence = "This ticket is no longer valid."


class TicketUsed(Conflict):
    code = "ticket_used"
    sentence = "This ticket was used at the door."


class TicketChanged(Conflict):
    code = "ticket_changed"
    sentence = "This ticket has changed in the meantime. Check the ticket again."


class TicketHandedOver(Conflict):
    code = "ticket_handed_over"
    sentence = "This ticket was handed over. Only the person who has it now can change the name on it."


class HandedTooOften(Conflict):
    code = "handed_too_often"
    sentence = "This ticket was handed over too often."


def check_changeable(*, state: str, issue: int, seen: int | None) -> None:
    """Raise TicketRevoked or TicketUsed unless a ticket is valid; TicketChanged if `seen` is not its issue."""
    if state == TicketState.REVOKED:
        raise TicketRevoked()
    if state == TicketState.ADMITTED:
        raise TicketUsed()
    if seen is not None and seen != issue:
        raise TicketChanged()


def holder_read(name: str) -> str:
    """Return the name of the person who comes with a ticket, as it is stored; it may be empty. Raise Invalid."""
    try:
        return texts.one_line(name, most=HOLDER_LENGTH) if name.strip() else ""
    except ValueError as error:
        raise Invalid(str(error), errors={"holder": [str(error)]}) from None


class NotPaid(Conflict):
    code = "not_paid"
    sentence = "These tickets are not paid for yet."


def check_paid(state: str, *, ended_at: datetime | None) -> None:
    """Raise ReservationEnded for a reservation that has ended, and NotPaid for one that is not validated yet."""
    if ended_at is not None:
        raise ReservationEnded(state=state, ended_at=ended_at)
    if state != ReservationState.VALIDATED:
        raise NotPaid()
