"""What may be sold, when and to whom: decisions on plain values, with `now` given."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from overlord.kernel.errors import Conflict, DomainError, Gone, Invalid

Sale = Literal["open", "upcoming", "ended", "paused"]

LARGEST_AMOUNT = 2**31 - 1
KEY_LENGTH = 64
REMEMBERED = timedelta(milliseconds=250)
EXTENDED_FOR = timedelta(minutes=5)
LONGEST_HOLD = timedelta(minutes=30)  # from its creation, so that nobody keeps tickets from others for ever
EXPIRING_SECONDS = (300, 120, 60, 30)  # left to a hold when its client is told


class SoldOut(Conflict):
    code = "sold_out"
    sentence = "All tickets of this type are sold."


class AllHeld(Conflict):
    code = "all_held"
    sentence = "The remaining tickets are in other people's hands; some may come back."


class NotEnough(Conflict):
    code = "not_enough"
    sentence = "There are not that many tickets left."


class AlreadyReserved(Conflict):
    code = "already_reserved"
    sentence = "You hold tickets of this type already: pay for them or release them first."


class OverLimit(Conflict):
    code = "over_limit"
    sentence = "That is more tickets of this type than one person may have."


class SaleNotOpen(Conflict):
    code = "sale_not_open"
    sentence = "The sale has not begun yet."


class SaleEnded(Conflict):
    code = "sale_ended"
    sentence = "The sale has ended."


class SalePaused(Conflict):
    code = "sale_paused"
    sentence = "The sale is paused for the moment."


class UnknownTicketType(Invalid):
    code = "unknown_ticket_type"
    sentence = "There is no such ticket type."


class ReservationEnded(Gone):
    code = "reservation_ended"
    sentence = "This reservation has ended, and its tickets are back on sale."


class AlreadyValidated(Conflict):
    code = "already_validated"
    sentence = "These tickets are paid for."


class PaymentInProgress(Conflict):
    code = "payment_in_progress"
    sentence = "A payment for these tickets is in progress."


class NotExtendable(Conflict):
    code = "not_extendable"
    sentence = "This reservation cannot be held any longer."


def sale_state(*, opens_at: datetime | None, closes_at: datetime, paused: bool, now: datetime) -> Sale:
    """Will say whether a ticket type is on sale at `now`."""
    if opens_at is not None and now < opens_at:
        return "upcoming"
    if now >= closes_at:
        return "ended"
    return "paused" if paused else "open"


def event_sale_state(types: Iterable[Sale], *, date: datetime, now: datetime) -> Sale:
    """Will sum up an event's ticket types: open if one of them is, else the most hopeful of their states."""
    present = set(types)
    order: tuple[Sale, ...] = ("open", "paused", "upcoming")
    for state in order:
        if state in present:
            return state
    return "ended" if present or now >= date else "upcoming"


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """What decides a claim that was not granted, all read in one statement at `now` (the database's clock)."""

    now: datetime
    capacity: int
    held: int
    sold: int
    opens_at: datetime | None
    closes_at: datetime
    paused: bool
    max_per_user: int
    live_reservation: int | None  # the buyer's own of this type, not counting one that is due
    owned: int  # tickets in the buyer's live and validated reservations of this type, without due ones
    due_holds: bool  # whether holds of this type have ended and wait to be released
    next_release_at: datetime | None  # when the earliest hold that has not ended will


def refusal(facts: ClaimFacts, *, quantity: int) -> DomainError | None:
    """Will name what stands against claiming `quantity` tickets, the most telling first, or None.

    Availability is judged last, and not at all while due holds wait: releasing them may change it.
    """
    if facts.live_reservation is not None:
        return AlreadyReserved(reservation=facts.live_reservation)
    if facts.owned + quantity > facts.max_per_user:
        return OverLimit(max_per_user=facts.max_per_user)
    sale = sale_state(opens_at=facts.opens_at, closes_at=facts.closes_at, paused=facts.paused, now=facts.now)
    if sale == "upcoming":
        return SaleNotOpen(opens_at=facts.opens_at)
    if sale == "ended":
        return SaleEnded()
    if sale == "paused":
        return SalePaused()
    available = facts.capacity - facts.held - facts.sold
    if facts.due_holds or available >= quantity:
        return None
    if available > 0:
        return NotEnough(available=available)
    if facts.held > 0:
        return AllHeld(next_release_at=facts.next_release_at)
    return SoldOut()


def remembered_until(refused: DomainError, *, now: datetime) -> datetime | None:
    """Will say until when a process may repeat this refusal unasked: when nothing is left, for an instant,
    and never beyond the moment at which the next hold ends. None: not at all."""
    if isinstance(refused, SoldOut):
        return now + REMEMBERED
    release: datetime | None = refused.facts["next_release_at"] if isinstance(refused, AllHeld) else None
    return None if release is None else min(now + REMEMBERED, release)


def check_idempotency_key(key: str | None) -> None:
    """Will insist that a given key is 1 to 64 printable ASCII characters; raises Invalid."""
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isascii() and key.isprintable()):
        raise Invalid(
            f"An Idempotency-Key has 1 to {KEY_LENGTH} printable ASCII characters.",
            errors={"Idempotency-Key": ["Not 1 to 64 printable ASCII characters."]},
        )


def extended_until(*, state: str, created: datetime, expires_at: datetime, now: datetime) -> datetime:
    """Will say until when a hold may be kept: five minutes from now, within thirty of its creation, and never
    shorter than it is; raises NotExtendable for what is not held, or is at its limit already."""
    limit = created + LONGEST_HOLD
    if state != "held" or expires_at <= now or expires_at >= limit:
        raise NotExtendable(state=state)
    return max(expires_at, min(now + EXTENDED_FOR, limit))


def check_releasable(state: str) -> None:
    """Will insist that a reservation in `state` is held; raises what stands against releasing it."""
    if state == "paying":
        raise PaymentInProgress()
    if state == "validated":
        raise AlreadyValidated()
    if state != "held":
        raise ReservationEnded(state=state)
