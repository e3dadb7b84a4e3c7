"""What a buyer is told when something is refused: what happened, and what can be done. Every code in one place.

The domain's errors carry a stable `code` and facts; these are the words for people. Codes that are not here are
told in the error's own sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.kernel.errors import DomainError
from overlord.shop import formats

Facts = Mapping[str, Any]
Words = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A refusal as a page shows it. `code` is for whoever asks us about it."""

    title: str
    advice: str
    code: str


def refusal(error: DomainError) -> Refusal:
    """Will say in a buyer's words what an error means and what can be done."""
    return refusal_of(error.code, error.facts, otherwise=error.detail)


def refusal_of(code: str, facts: Facts | None = None, *, otherwise: str = "") -> Refusal:
    """Will say what a code means; `otherwise` is the title of one that has no words here."""
    say = _SAID.get(code)
    title, advice = say(facts or {}) if say else (otherwise, "")
    return Refusal(title=title, advice=advice, code=code)


def _all_held(facts: Facts) -> Words:
    title = _("All remaining tickets are in other people's carts.")
    release = facts.get("next_release_at")
    if isinstance(release, datetime):
        return title, _("The next may come back at %(time)s. Stay here: this page tells you.") % {
            "time": formats.clock(release)
        }
    return title, _("Some may come back. Stay here: this page tells you.")


def _not_enough(facts: Facts) -> Words:
    available = facts.get("available", 0)
    title = ngettext("Only %(n)s ticket is left.", "Only %(n)s tickets are left.", available)
    return title % {"n": available}, _("Choose fewer and try again.")


def _over_limit(facts: Facts) -> Words:
    most = facts.get("max_per_user", 0)
    title = ngettext("One person may have %(n)s of these.", "One person may have %(n)s of these.", most)
    return title % {"n": most}, _("Choose fewer, counting those you have already.")


def _sale_not_open(facts: Facts) -> Words:
    opens = facts.get("opens_at")
    when = formats.moment(opens) if isinstance(opens, datetime) else ""
    return _("The sale has not begun yet."), _("It opens %(when)s.") % {"when": when} if when else ""


_SAID: dict[str, Callable[[Facts], Words]] = {
    "sold_out": lambda _facts: (
        _("These tickets are sold out."),
        _("Look at the other kinds, or come back later: sometimes one returns."),
    ),
    "all_held": _all_held,
    "not_enough": _not_enough,
    "already_reserved": lambda _facts: (
        _("You hold tickets of this kind already."),
        _("Pay for them or give them back before you take more."),
    ),
    "over_limit": _over_limit,
    "sale_not_open": _sale_not_open,
    "sale_ended": lambda _facts: (_("The sale has ended."), _("Nothing was reserved.")),
    "sale_paused": lambda _facts: (
        _("The sale is paused for the moment."),
        _("Your choice is kept here. Try again when the page says the sale goes on."),
    ),
    "unknown_ticket_type": lambda _facts: (
        _("There is no such ticket any more."),
        _("Choose from what this page shows now."),
    ),
    "invalid": lambda _facts: (
        _("That is not a number of tickets we can reserve."),
        _("Choose one ticket or more."),
    ),
    "idempotency_key_reused": lambda _facts: (
        _("You have reserved from this page already."),
        _("Your reservation is under My tickets. To take others, choose again."),
    ),
    "reservation_ended": lambda _facts: (
        _("This reservation has ended, and its tickets are back on sale."),
        _("You were not charged. You can try to get the same tickets again."),
    ),
    "reservation_expired": lambda _facts: (
        _("The time to pay has passed, and the tickets are back on sale."),
        _("You were not charged. You can try to get the same tickets again."),
    ),
    "already_validated": lambda _facts: (_("These tickets are paid for."), _("They are yours.")),
    "already_paid": lambda _facts: (_("This is paid for already."), _("You will not be charged twice.")),
    "payment_in_progress": lambda _facts: (
        _("A payment for these tickets is in progress."),
        _("This page shows its outcome. You will not be charged twice."),
    ),
    "not_extendable": lambda _facts: (
        _("These tickets cannot be held any longer."),
        _("Please pay before the time is over."),
    ),
    "permission_denied": lambda _facts: (
        _("This page is for the box office."),
        _("Log in with a staff account to see it."),
    ),
    "not_found": lambda _facts: (
        _("There is nothing here."),
        _("It may have moved or ended, or it may belong to somebody else."),
    ),
    "busy": lambda _facts: (
        _("We are very busy at this moment."),
        _("Nothing was lost and nothing was charged. Please try again."),
    ),
    "server_error": lambda _facts: (
        _("Something went wrong on our side."),
        _("It is in our log. Your reservations and payments are safe; My tickets shows them."),
    ),
    "csrf_failed": lambda _facts: (
        _("This form has grown too old."),
        _("Go back, reload the page, and send it again. Nothing was done yet."),
    ),
}
