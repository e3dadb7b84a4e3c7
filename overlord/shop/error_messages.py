"""The message that a page shows for each error code: what happened, and what the buyer can do.

A domain error has a `code` and facts. For a code that is not listed here, the page shows the error's own sentence.
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
TitleAndAdvice = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ErrorMessage:
    """The two sentences that a page shows for an error. `advice` may be empty."""

    title: str
    advice: str


def of_error(error: DomainError, *, time_zone: str | None = None) -> ErrorMessage:
    """Return the message of a domain error. Times in it are in `time_zone`, or in the installation's time zone."""
    return of_code(error.code, {**error.facts, "time_zone": time_zone}, otherwise=detail_of(error))


def detail_of(error: DomainError) -> str:
    """Return the error's own sentence in the language of the page; "" for none. The API sends it in English."""
    return _(error.detail) if error.detail else ""


def of_code(code: str, facts: Facts | None = None, *, otherwise: str = "") -> ErrorMessage:
    """Return the message of an error code; `otherwise` is the title of a code that is not listed here."""
    write = _MESSAGES.get(code)
    title, advice = write(facts or {}) if write else (otherwise, "")
    return ErrorMessage(title=title, advice=advice)


def _all_held(facts: Facts) -> TitleAndAdvice:
    title = _("All remaining tickets are on hold for other buyers.")
    release = facts.get("next_release_at")
    if isinstance(release, datetime):
        return title, _("Some may become available at %(time)s. This page updates by itself.") % {
            "time": formats.time_to_the_second(release, facts.get("time_zone"))
        }
    return title, _("Some may become available again. This page updates by itself.")


def _too_late(facts: Facts) -> TitleAndAdvice:
    title = _("Your hold has expired, and the tickets are back on sale.")
    if facts.get("state") == "released":
        title = _("Your hold was released, and the tickets are back on sale.")
    return title, _("You were not charged. You can try to reserve the same tickets again.")


def _not_enough(facts: Facts) -> TitleAndAdvice:
    available = facts.get("available", 0)
    title = ngettext("Only %(n)s ticket is left.", "Only %(n)s tickets are left.", available)
    return title % {"n": formats.number(available)}, _("Choose fewer tickets and try again.")


def _over_limit(facts: Facts) -> TitleAndAdvice:
    most = facts.get("max_per_user", 0)
    title = ngettext(
        "The limit is %(n)s ticket of this type per person.",
        "The limit is %(n)s tickets of this type per person.",
        most,
    )
    return title % {"n": formats.number(most)}, _("Tickets that you already have count too.")


def _sale_not_open(facts: Facts) -> TitleAndAdvice:
    opens = facts.get("opens_at")
    when = formats.date_time(opens, facts.get("time_zone")) if isinstance(opens, datetime) else ""
    return _("Ticket sales have not opened yet."), _("They open on %(when)s.") % {
        "when": when
    } if when else ""


def _rate_limited(facts: Facts) -> TitleAndAdvice:
    minutes = -(-facts.get("retry_after", 60) // 60)
    advice = ngettext("Please try again in %(n)s minute.", "Please try again in %(n)s minutes.", minutes)
    return _("Too many attempts"), advice % {"n": minutes}


def _cooling_down(facts: Facts) -> TitleAndAdvice:
    return _("Several of your holds have expired."), _rate_limited(facts)[1]


_MESSAGES: dict[str, Callable[[Facts], TitleAndAdvice]] = {
    "sold_out": lambda _facts: (
        _("These tickets are sold out."),
        _("Choose another ticket type, or check again later: tickets are sometimes returned."),
    ),
    "all_held": _all_held,
    "not_enough": _not_enough,
    "already_reserved": lambda _facts: (
        _("You already have tickets of this type on hold."),
        _("Pay for them or release them before you reserve more."),
    ),
    "over_limit": _over_limit,
    "sale_not_open": _sale_not_open,
    "sale_ended": lambda _facts: (_("Ticket sales have ended."), _("Nothing was reserved.")),
    "sale_paused": lambda _facts: (
        _("Ticket sales are paused."),
        _("Your selection is kept. Try again when sales resume; this page updates by itself."),
    ),
    "line_closed": lambda _facts: (
        _("Nobody can enter this line now."),
        _("You can enter it shortly before the sale opens. When nobody waits, reserve tickets directly."),
    ),
    "address_in_line": lambda _facts: (
        _("Somebody with this e-mail address is in this line already."),
        _("Each person has one place. Open this page on the device or in the account where you entered."),
    ),
    "entry_outdated": lambda _facts: (
        _("You no longer have the place in line that this page showed. Nothing was changed."),
        _("This page is up to date again."),
    ),
    "wrong_email_code": lambda _facts: (
        _("This code is wrong or no longer valid."),
        _("Use the code from the newest mail. It works for fifteen minutes and five tries."),
    ),
    "line_action_refused": lambda _facts: (
        _("This is not possible for the line now."),
        _("The line may have moved in the meantime: check its state below."),
    ),
    "line_outdated": lambda _facts: (
        _("Nothing was done."),
        _("Somebody else changed this since you opened the page. Check it again."),
    ),
    "line_first": lambda _facts: (
        _("These tickets go to people in line first."),
        _("Nothing was reserved. Enter the line: the page of the event leads there."),
    ),
    "order_changed": lambda _facts: (
        _("Your order has changed, and so has its price."),
        _("You were not charged. Check the new total, then pay."),
    ),
    "order_full": lambda _facts: (
        _("An order has at most twenty ticket types."),
        _("Pay for this order first, or choose fewer ticket types."),
    ),
    "several_events": lambda _facts: (
        _("All tickets of an order must be for the same event."),
        _("Make one order for each event."),
    ),
    "unknown_ticket_type": lambda _facts: (
        _("This ticket type is no longer available."),
        _("Choose one of the ticket types below."),
    ),
    "idempotency_key_reused": lambda _facts: (
        _("You have already reserved tickets from this page."),
        _("They are under My tickets. To reserve more, choose tickets again."),
    ),
    "reservation_ended": lambda _facts: (
        _("This reservation has ended, and its tickets are back on sale."),
        _("You were not charged. You can try to reserve the same tickets again."),
    ),
    "reservation_expired": _too_late,
    "too_many_held": lambda _facts: (
        _("You have several unpaid orders on hold."),
        _("Pay for one or release it, then reserve more. You can find them under My tickets."),
    ),
    "cooling_down": _cooling_down,
    "email_required": lambda _facts: (
        _("Please enter your e-mail address."),
        _("We send your tickets there. They stay on hold while you enter it."),
    ),
    "email_has_account": lambda _facts: (
        _("There is an account with this e-mail address."),
        _("Log in to it to go on. Tickets that you have on hold follow you to your account."),
    ),
    "account_required": lambda _facts: (
        _("You need an account to buy tickets for this event."),
        _("Sign up or log in. Your selection is kept."),
    ),
    "already_validated": lambda _facts: (
        _("These tickets are already paid for."),
        _("You can find them under My tickets."),
    ),
    "already_paid": lambda _facts: (_("This is already paid for."), _("You will not be charged twice.")),
    "payment_in_progress": lambda _facts: (
        _("A payment for these tickets is in progress."),
        _("This page shows the result when it is complete. You will not be charged twice."),
    ),
    "ticket_changed": lambda _facts: (
        _("This ticket has changed meanwhile."),
        _("Nothing was done. Check it below."),
    ),
    "ticket_used": lambda _facts: (
        _("This ticket was used at the door."),
        _("It can no longer be handed over."),
    ),
    "not_extendable": lambda _facts: (
        _("Your hold cannot be extended any further."),
        _("Please pay before your hold expires."),
    ),
    "permission_denied": lambda _facts: (
        _("You do not have access to this page."),
        _("Log in with a staff account that has access."),
    ),
    "invitation_ended": lambda _facts: (
        _("This invitation no longer works."),
        _(
            "It was used, withdrawn or sent again, or it has expired. Ask the person who invited you for a new one."
        ),
    ),
    "not_found": lambda _facts: (
        _("Page not found"),
        _("The address may be wrong, or the page may have been removed."),
    ),
    "rate_limited": _rate_limited,
    "method_not_allowed": lambda _facts: (
        _("This page does not accept this kind of request."),
        _("Go back, or start again from the list of events."),
    ),
    "bad_host": lambda _facts: (
        _("This server does not serve that address."),
        _("Check the address and try again."),
    ),
    "busy": lambda _facts: (
        _("The site is very busy right now."),
        _("Nothing was changed. Please try again in a moment."),
    ),
    "server_error": lambda _facts: (
        _("Something went wrong on our side."),
        _("We have logged the error. Your tickets and payments are safe."),
    ),
    "csrf_failed": lambda _facts: (
        _("This page has expired."),
        _("Reload it and try again. Nothing was changed."),
    ),
}
