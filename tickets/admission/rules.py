"""The states of a ticket, the answers to scans, and who may change a ticket: decisions on plain values.

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
LISTED = 50  # scans, and tickets found: the newest or first ones
SEARCH_LENGTH = 200
SHOWN_LENGTH = 300  # of what a scanner reads: it may see any code, and that is not an error
OLDEST_SCAN = timedelta(days=7)  # that a door without a network may have kept
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
    sentence = "This scan admitted nobody."


def scanned_at(claimed: datetime | None, *, now: datetime) -> datetime:
    """Return when a scan was made: as its device claims, but neither in the future nor longer ago than is kept."""
    return now if claimed is None else min(now, max(claimed, now - OLDEST_SCAN))


def serial_read(text: str) -> str:
    """Return a serial as it is stored, however a person typed it."""
    return "".join(text.split()).replace("-", "").upper()


class TicketRevoked(Conflict):
    code = "ticket_revoked"
    sentence = "This ticket is no longer valid."


class TicketUsed(Conflict):
    code = "ticket_used"
    sentence = "This ticket was used at the door."


class TicketChanged(Conflict):
    code = "ticket_changed"
    sentence = "This ticket has changed meanwhile. Check it again."


class TicketHandedOver(Conflict):
    code = "ticket_handed_over"
    sentence = "This ticket was handed over. Its new holder says who comes with it."


class HandedTooOften(Conflict):
    code = "handed_too_often"
    sentence = "This ticket has changed hands too often."


def check_standing(*, state: str, issue: int, seen: int | None) -> None:
    """Raise TicketRevoked, TicketUsed, or TicketChanged when another issue than the present one was seen."""
    if state == TicketState.REVOKED:
        raise TicketRevoked()
    if state == TicketState.ADMITTED:
        raise TicketUsed()
    if seen is not None and seen != issue:
        raise TicketChanged()


def holder_read(name: str) -> str:
    """Return the name of who comes with a ticket, as it is stored; an empty one for nobody. Raise Invalid."""
    try:
        return texts.one_line(name, most=HOLDER_LENGTH) if name.strip() else ""
    except ValueError as error:
        raise Invalid(str(error), errors={"holder": [str(error)]}) from None


class NotPaid(Conflict):
    code = "not_paid"
    sentence = "These tickets are not paid for yet."


def check_paid(state: str, *, ended_at: datetime | None) -> None:
    """Raise NotPaid for a reservation in a state before VALIDATED, and ReservationEnded for one that ended."""
    if ended_at is not None:
        raise ReservationEnded(state=state, ended_at=ended_at)
    if state != ReservationState.VALIDATED:
        raise NotPaid()
