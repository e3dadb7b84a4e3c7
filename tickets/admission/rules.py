"""Where a ticket is, and what a scan at the door answers: decisions on plain values.

Nothing here reads a clock, a row or a setting.
"""

from datetime import datetime
from enum import StrEnum

from overlord.kernel.errors import Conflict
from tickets.rules import ReservationEnded, ReservationState

SERIAL_LENGTH = 10
SERIAL_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what people confuse: 0 and O, 1 and I


class TicketState(StrEnum):
    """Where a ticket is. REVOKED is final; an admitted ticket becomes valid again when staff undo it."""

    VALID = "valid"
    ADMITTED = "admitted"
    REVOKED = "revoked"


class NotPaid(Conflict):
    code = "not_paid"
    sentence = "These tickets are not paid for yet."


def check_paid(state: str, *, ended_at: datetime | None) -> None:
    """Raise NotPaid for a reservation in a state before VALIDATED, and ReservationEnded for one that ended."""
    if ended_at is not None:
        raise ReservationEnded(state=state, ended_at=ended_at)
    if state != ReservationState.VALIDATED:
        raise NotPaid()
