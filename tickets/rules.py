"""When and to whom tickets may be sold, and how far a hold may be extended: decisions on plain values.

Nothing here reads a clock, a row or a setting.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from overlord.kernel.errors import Conflict, DomainError, Forbidden, Gone, Invalid, TooMany, WrongValue
from tickets.event_rules import EventStatus, SaleState

LARGEST_AMOUNT = 2**31 - 1  # of tickets: the largest integer of PostgreSQL
LARGEST_TOTAL_MINOR = 10**15  # of one reservation, so that its payment and all sums fit into a bigint
# Times of events and sales must be between these two. Python and PostgreSQL have wider limits, which differ.
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
NAME_LENGTH, TYPE_NAME_LENGTH, DESCRIPTION_LENGTH = 200, 60, 10_000
MOST_TYPES = 20  # in one order
# At first a hold lasts HOLD_SECONDS, which an operator can set (overlord/settings/env.py). The default is 900.
EXTENDED_FOR = timedelta(minutes=5)
LONGEST_HOLD = timedelta(minutes=30)  # from its creation, so that nobody keeps tickets from others for ever
EXPIRING_SECONDS = (300, 120, 60, 30)  # before the end of a hold, when its buyer is warned


class ReservationState(StrEnum):
    """The state of a reservation. HELD and PAYING are live; EXPIRED and RELEASED are ended."""

    HELD = "held"
    PAYING = "paying"
    VALIDATED = "validated"
    EXPIRED = "expired"
    RELEASED = "released"


LIVE_STATES = (ReservationState.HELD, ReservationState.PAYING)
ENDED_STATES = (ReservationState.EXPIRED, ReservationState.RELEASED)
LISTED_STATES = (*LIVE_STATES, ReservationState.VALIDATED)  # the states that a buyer's list shows by default


class Buyers(StrEnum):
    """The people who may buy tickets of an event."""

    ANYONE = "anyone"
    ACCOUNTS = "accounts"


class Opening(StrEnum):
    """How the sale of an event opens."""

    DIRECT = "direct"
    DRAW = "draw"


class SoldOut(Conflict):
    code = "sold_out"
    sentence = "All tickets of this type are sold."


class AllHeld(Conflict):
    code = "all_held"
    sentence = (
        "All remaining tickets of this type are reserved by other buyers. Some may become available again."
    )


class NotEnough(Conflict):
    code = "not_enough"
    sentence = "There are fewer tickets of this type left than you asked for."


class AlreadyReserved(Conflict):
    code = "already_reserved"
    sentence = "You have already reserved tickets of this type. Pay for them or release them first."


class OverLimit(Conflict):
    code = "over_limit"
    sentence = "You asked for more tickets of this type than one person may have."


class AccountRequired(Forbidden):
    code = "account_required"
    sentence = "Tickets for this event are only for people with an account. Sign up or log in first."


class TooManyHeld(Conflict):
    code = "too_many_held"
    sentence = (
        "You already have as many unpaid orders as one person may have. Pay for one of them or"
        " release it first."
    )


class CoolingDown(TooMany):
    code = "cooling_down"
    sentence = "Several of your reservations have expired. Please wait before you reserve again."


class SaleNotOpen(Conflict):
    code = "sale_not_open"
    sentence = "The sale has not opened yet."


class SaleEnded(Conflict):
    code = "sale_ended"
    sentence = "The sale has ended."


class SalePaused(Conflict):
    code = "sale_paused"
    sentence = "The sale is paused."


class LineFirst(Conflict):
    code = "line_first"
    sentence = "People who wait in line get tickets of this type first. Join the line."


class OrderFull(Conflict):
    code = "order_full"
    sentence = f"An order can have at most {MOST_TYPES} ticket types."


class SeveralEvents(Invalid):
    code = "several_events"
    sentence = "All tickets of an order must be for the same event."


class UnknownTicketType(Invalid):
    code = "unknown_ticket_type"
    sentence = "There is no such ticket type."


class TotalTooLarge(Invalid):
    code = "invalid"
    sentence = "The total price is too high for one payment. Choose fewer tickets."

    def __init__(self) -> None:
        super().__init__(errors={"amount": [self.sentence]})


class ReservationEnded(Gone):
    code = "reservation_ended"
    sentence = "This reservation has ended, and its tickets are back on sale."


class AlreadyValidated(Conflict):
    code = "already_validated"
    sentence = "These tickets are already paid for."


class PaymentInProgress(Conflict):
    code = "payment_in_progress"
    sentence = "A payment for these tickets is in progress. You will not be charged twice."


class NotExtendable(Conflict):
    code = "not_extendable"
    sentence = "This reservation cannot be extended any further."


def check_instant(instant: datetime) -> None:
    """Raise ValueError, with a sentence, unless EARLIEST <= `instant` < LATEST. The instant has a time zone."""
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        in_utc = None
    if in_utc is None or not EARLIEST <= in_utc < LATEST:
        raise WrongValue(
            "The year must be from %(first)s to %(last)s.", first=EARLIEST.year, last=LATEST.year - 1
        )


def sale_state(
    *, opens_at: datetime | None, closes_at: datetime, paused: bool, line_first: bool, now: datetime
) -> SaleState:
    """Return the sale state of a ticket type at `now`."""
    if opens_at is not None and now < opens_at:
        return SaleState.UPCOMING
    if now >= closes_at:
        return SaleState.ENDED
    if paused:
        return SaleState.PAUSED
    return SaleState.LINE if line_first else SaleState.OPEN


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """The facts that decide why a claim was not granted, read in one statement. `now` is the database's clock."""

    now: datetime
    capacity: int
    held: int
    sold: int
    opens_at: datetime | None
    closes_at: datetime
    paused: bool
    line_first: bool
    max_per_user: int
    price_minor: int
    hidden: bool
    status: str  # of the event
    live_reservation: int | None  # the buyer's own live reservation of this type, unless it is due
    owned: int  # tickets in the buyer's live and validated reservations of this type, without due ones
    due_holds: bool  # whether some holds of this type are due and not released yet
    next_release_at: datetime | None  # when the earliest hold that is not due ends


def refusal(facts: ClaimFacts, *, quantity: int) -> DomainError | None:
    """Return the reason why `quantity` tickets cannot be claimed, or None if they can.

    If there are several reasons, return the first in this order: buyers do not see the type; the buyer's own
    tickets or choice; the state of the sale; availability. Availability is no reason while holds are due, because
    their release may change it.
    """
    if facts.status == EventStatus.DRAFT or facts.hidden:
        return UnknownTicketType()
    if facts.live_reservation is not None:
        return AlreadyReserved(reservation=facts.live_reservation)
    if facts.owned + quantity > facts.max_per_user:
        return OverLimit(max_per_user=facts.max_per_user)
    if facts.price_minor * quantity > LARGEST_TOTAL_MINOR:
        return TotalTooLarge()
    if facts.status == EventStatus.CANCELLED:
        return SaleEnded()
    sale = sale_state(
        opens_at=facts.opens_at,
        closes_at=facts.closes_at,
        paused=facts.paused,
        line_first=facts.line_first,
        now=facts.now,
    )
    if sale == SaleState.UPCOMING:
        return SaleNotOpen(opens_at=facts.opens_at)
    if sale == SaleState.ENDED:
        return SaleEnded()
    if sale == SaleState.PAUSED:
        return SalePaused()
    if sale == SaleState.LINE:
        return LineFirst()
    available = facts.capacity - facts.held - facts.sold
    if facts.due_holds or available >= quantity:
        return None
    if available > 0:
        return NotEnough(available=available)
    if facts.held > 0:
        return AllHeld(next_release_at=facts.next_release_at)
    return SoldOut()


BUYER_CONSTRAINTS = frozenset(
    {"reservation_by_an_account", "reservation_few_held_per_buyer", "reservation_after_cooling_down"}
)


def buyer_refusal(constraint: str, facts: Mapping[str, Any]) -> DomainError:
    """Return the reason why `sql/buyer_check.sql` refused a buyer.

    `constraint` is one of BUYER_CONSTRAINTS, and `facts` is the detail of the database's error.
    """
    if constraint == "reservation_by_an_account":
        return AccountRequired()
    if constraint == "reservation_few_held_per_buyer":
        return TooManyHeld(**facts)
    return CoolingDown(retry_after=max(1, int(facts["retry_after"])))


def check_items(ticket_types: Sequence[int], *, field: str = "items") -> None:
    """Raise Invalid, about `field`, unless these ticket types can be one order: 1 to 20, each once."""
    if not 1 <= len(ticket_types) <= MOST_TYPES:
        sentence = f"An order must have 1 to {MOST_TYPES} ticket types."
    elif len(set(ticket_types)) < len(ticket_types):
        sentence = "List each ticket type only once, with the total number of tickets."
    else:
        return
    raise Invalid(sentence, errors={field: [sentence]})


def check_addable(members: Collection[tuple[ReservationState, datetime]], *, adding: int) -> None:
    """Raise the reason why `adding` types cannot be added to an order, if there is one.

    `members` has the state and the end of each reservation of the order: at least one. The reasons are
    PaymentInProgress, AlreadyValidated, ReservationEnded if the order has no hold, and OrderFull.
    """
    states = [state for state, _ in members]
    if ReservationState.PAYING in states:
        raise PaymentInProgress()
    if ReservationState.VALIDATED in states:
        raise AlreadyValidated()
    held = sum(state == ReservationState.HELD for state in states)
    if not held:
        state, ended_at = next(iter(members))
        raise ReservationEnded(state=str(state), ended_at=ended_at)
    if held + adding > MOST_TYPES:
        raise OrderFull()


def check_resizable(
    *,
    state: ReservationState | str,
    ended_at: datetime | None,
    expires_at: datetime,
    unit_price_minor: int,
    quantity: int,
    now: datetime,
) -> None:
    """Raise an error unless a hold can be changed to `quantity` tickets.

    The errors are PaymentInProgress, AlreadyValidated, ReservationEnded and TotalTooLarge.
    """
    check_releasable(state, ended_at=ended_at)
    if expires_at <= now:
        raise ReservationEnded(state=str(ReservationState.EXPIRED), ended_at=expires_at)
    if unit_price_minor * quantity > LARGEST_TOTAL_MINOR:
        raise TotalTooLarge()


def state_at(*, state: ReservationState | str, expires_at: datetime, now: datetime) -> ReservationState:
    """Return a reservation's state at `now`. A due hold is EXPIRED, even if its tickets are not released yet."""
    is_due = state == ReservationState.HELD and expires_at <= now
    return ReservationState.EXPIRED if is_due else ReservationState(state)


class Tried(Protocol):
    """The part of a reservation that tells when its buyer last began to pay."""

    @property
    def paying_since(self) -> datetime | None: ...


AnyTried = TypeVar("AnyTried", bound=Tried)


def tried_last(order: Iterable[AnyTried]) -> list[AnyTried]:
    """Return those reservations of an order that the latest try to pay was for; an empty list without a try."""
    tried = [each for each in order if each.paying_since is not None]
    latest = max((each.paying_since for each in tried if each.paying_since), default=None)
    return [each for each in tried if each.paying_since == latest]


def extended_until(
    *, state: ReservationState | str, created: datetime, expires_at: datetime, now: datetime
) -> datetime:
    """Return the new end of a hold: five minutes from now, but at most thirty minutes after it was made.

    The new end is never earlier than the present one. Raise NotExtendable if the reservation is not held, is due,
    or has reached the limit of thirty minutes.
    """
    limit = created + LONGEST_HOLD
    if state != ReservationState.HELD or expires_at <= now or expires_at >= limit:
        raise NotExtendable(state=str(state_at(state=state, expires_at=expires_at, now=now)))
    return max(expires_at, min(now + EXTENDED_FOR, limit))


def check_releasable(state: ReservationState | str, *, ended_at: datetime | None) -> None:
    """Raise PaymentInProgress, AlreadyValidated or ReservationEnded unless a reservation in `state` is held."""
    if state == ReservationState.PAYING:
        raise PaymentInProgress()
    if state == ReservationState.VALIDATED:
        raise AlreadyValidated()
    if state != ReservationState.HELD:
        raise ReservationEnded(state=str(state), ended_at=ended_at)
