"""The effect and the limit of a voucher: decisions on plain values. Nothing here reads a clock, a row or a setting.

Buyers call a voucher a discount or presale code, and the API calls it `code`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from overlord.kernel.errors import Conflict, Invalid
from tickets.rules import ClaimFacts

TEXT_LENGTH, NOTE_LENGTH = 40, 200


class PriceRule(StrEnum):
    """How a voucher changes the price of a ticket."""

    UNCHANGED = "unchanged"
    FIXED = "fixed"  # its value is the new price, in minor units
    PERCENT = "percent"  # its value is how many percent are taken off
    LESS = "less"  # its value is taken off, in minor units


class VoucherState(StrEnum):
    """Whether a voucher can be used."""

    VALID = "valid"
    NOT_YET = "not_yet"
    USED_UP = "used_up"
    ENDED = "ended"


class CodeUnknown(Conflict):
    code = "code_unknown"
    sentence = "There is no such code for this event. Check the spelling."


class CodeNotYetValid(Conflict):
    code = "code_not_yet_valid"
    sentence = "This code cannot be used yet."


class CodeEnded(Conflict):
    code = "code_ended"
    sentence = "This code can no longer be used."


class CodeUsedUp(Conflict):
    code = "code_used_up"
    sentence = (
        "This code cannot be used for so many tickets. Choose fewer tickets, or continue without the code."
    )


class CodeNotForType(Conflict):
    code = "code_not_for_type"
    sentence = "This code is not for the tickets that you chose."


class CodeChanged(Conflict):
    code = "code_changed"
    sentence = (
        "The conditions of your code have changed. Tickets that you have already reserved keep"
        " their price. To reserve more, release these tickets first."
    )


class CodeExists(Conflict):
    code = "code_exists"
    sentence = "This event already has a code with this text."


class CodeTooLong(Invalid):
    code = "invalid"
    sentence = "The text is too long, because random characters are added at the end. Use a shorter text."


class CodeLimitTooLow(Conflict):
    code = "code_limit_too_low"
    sentence = "This limit is too low: more tickets are already reserved or sold with the code."


class CodeOutdated(Conflict):
    code = "code_outdated"
    sentence = (
        "Nothing was saved, because somebody has changed this code since you opened the page."
        " Check the code again."
    )


@dataclass(frozen=True, kw_only=True)
class VoucherFacts:
    """The facts that decide whether a voucher may be used, read in one statement. `now` is the database's clock."""

    now: datetime
    id: int
    text: str
    price_rule: str
    price_value: int
    opens_early: bool
    valid_from: datetime | None
    valid_until: datetime | None
    ended_at: datetime | None
    most_uses: int | None
    used: int
    covers: Collection[int]  # the ticket types that the voucher is for
    due_holds: Collection[int]  # the ticket types of due holds with the voucher that are not released yet

    @property
    def left(self) -> int | None:
        """Return for how many more tickets the voucher is valid, or None for any number."""
        return None if self.most_uses is None else self.most_uses - self.used


def check_usable(facts: VoucherFacts | None) -> VoucherFacts:
    """Return the facts of a voucher that may be used now; raise CodeUnknown, CodeNotYetValid or CodeEnded."""
    if facts is None:
        raise CodeUnknown()
    if facts.ended_at is not None or (facts.valid_until is not None and facts.valid_until <= facts.now):
        raise CodeEnded()
    if facts.valid_from is not None and facts.valid_from > facts.now:
        raise CodeNotYetValid(valid_from=facts.valid_from)
    return facts


def check_left(facts: VoucherFacts, *, quantity: int) -> None:
    """Raise CodeUsedUp if a voucher is not valid for `quantity` more tickets.

    Nothing is raised while holds with the voucher are due, because their release makes their uses available again.
    """
    if facts.left is not None and facts.left < quantity and not facts.due_holds:
        raise CodeUsedUp(available=facts.left)


def check_unchanged(
    facts: VoucherFacts, *, ticket_type: int, unit_price_minor: int, discount_minor: int
) -> None:
    """Raise CodeChanged unless a voucher is still for a hold's type, and still gives the hold's price.

    Tickets on hold keep their price. Further tickets get the present terms of the voucher. A hold has only one
    price, so it cannot get tickets at another one.
    """
    now = price_with(facts.price_rule, facts.price_value, unit_price_minor + discount_minor)
    if ticket_type not in facts.covers or now != unit_price_minor:
        raise CodeChanged()


def state_of(
    *,
    ended_at: datetime | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    most_uses: int | None,
    used: int,
    now: datetime,
) -> VoucherState:
    """Return whether a voucher can be used at `now`, as staff see it."""
    if ended_at is not None or (valid_until is not None and valid_until <= now):
        return VoucherState.ENDED
    if most_uses is not None and used >= most_uses:
        return VoucherState.USED_UP
    return VoucherState.NOT_YET if valid_from is not None and valid_from > now else VoucherState.VALID


def price_with(rule: PriceRule | str, value: int, price_minor: int) -> int:
    """Return the price of a ticket with a voucher, as sql/voucher_price.sql does; in minor units.

    It is never more than without the voucher, and never below 0. A percentage is rounded to the nearest minor unit,
    and half a unit in favour of the buyer.
    """
    match rule:
        case PriceRule.FIXED:
            return min(price_minor, value)
        case PriceRule.PERCENT:
            return (price_minor * (100 - value) + 49) // 100
        case PriceRule.LESS:
            return max(price_minor - value, 0)
    return price_minor


def claim_facts_with(voucher: VoucherFacts | None, facts: ClaimFacts, ticket_type: int) -> ClaimFacts:
    """Return the facts of a claim with a voucher; the same facts if there is none, or it is not for this type."""
    if voucher is None or ticket_type not in voucher.covers:
        return facts
    return replace(facts, hidden=False, opens_at=None if voucher.opens_early else facts.opens_at)
