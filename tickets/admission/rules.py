"""Where a ticket is, and what a scan at the door answers: decisions on plain values.

Nothing here reads a clock, a row or a setting.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from overlord.kernel.errors import Conflict
from tickets.rules import ReservationEnded, ReservationState

GATE_LENGTH = 60
MOST_SCANS = 200  # in one batch
OLDEST_SCAN = timedelta(days=7)  # that a door without a network may have kept
SERIAL_LENGTH = 10
SERIAL_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what people confuse: 0 and O, 1 and I


class TicketState(StrEnum):
    """Where a ticket is. REVOKED is final; an admitted ticket becomes valid again when staff undo it."""

    VALID = "valid"
    ADMITTED = "admitted"
    REVOKED = "revoked"


class ScanResult(StrEnum):
    """What a scan answers. Only ADMITTED opens the door."""

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


class NotPaid(Conflict):
    code = "not_paid"
    sentence = "These tickets are not paid for yet."


def check_paid(state: str, *, ended_at: datetime | None) -> None:
    """Raise NotPaid for a reservation in a state before VALIDATED, and ReservationEnded for one that ended."""
    if ended_at is not None:
        raise ReservationEnded(state=state, ended_at=ended_at)
    if state != ReservationState.VALIDATED:
        raise NotPaid()
