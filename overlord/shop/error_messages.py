"""The message that a page shows for each error code: what happened, and what the reader can do.

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
    """Return the message of a domain error. Its times are in `time_zone`; None is the installation's time zone."""
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
    title = _("All remaining tickets are reserved by other buyers.")
    release = facts.get("next_release_at")
    if isinstance(release, datetime):
        return title, _("Some tickets may become available at %(time)s. This page updates automatically.") % {
            "time": formats.time_to_the_second(release, facts.get("time_zone"))
        }
    return title, _("Some tickets may become available again. This page updates automatically.")


def _too_late(facts: Facts) -> TitleAndAdvice:
    title = _("Your reservation has expired, and the tickets are back on sale.")
    if facts.get("state") == "released":
        title = _("Your reservation was released, and the tickets are back on sale.")
    return title, _("You were not charged. You can try to reserve the same tickets again.")


def _not_extendable(facts: Facts) -> TitleAndAdvice:
    """Return why a hold cannot be extended.

    An outdated page can offer to extend a hold that has ended, or is being paid for, or is paid.
    """
    match facts.get("state"):
        case "validated":
            return _MESSAGES["already_validated"](facts)
        case "paying":
            return _MESSAGES["payment_in_progress"](facts)
        case "expired" | "released":
            return _too_late(facts)
    return (
        _("Your reservation cannot be extended any further."),
        _("Please pay before your reservation expires."),
    )


def _not_enough(facts: Facts) -> TitleAndAdvice:
    available = facts.get("available", 0)
    title = ngettext("Only %(n)s ticket is left.", "Only %(n)s tickets are left.", available)
    # A line refuses a wish for more tickets than the capacity, also when none is left now.
    if available < 1:
        title = _("There are fewer tickets of this type left than you asked for.")
    return title % {"n": formats.number(available)}, _("Choose fewer tickets and try again.")


def _over_limit(facts: Facts) -> TitleAndAdvice:
    most = facts.get("max_per_user", 0)
    title = ngettext(
        "The limit is %(n)s ticket of this type per person.",
        "The limit is %(n)s tickets of this type per person.",
        most,
    )
    return title % {"n": formats.number(most)}, _("The limit also counts tickets that you already have.")


def _sale_not_open(facts: Facts) -> TitleAndAdvice:
    opens = facts.get("opens_at")
    when = formats.date_time(opens, facts.get("time_zone")) if isinstance(opens, datetime) else ""
    return _("Ticket sales have not opened yet."), _("Ticket sales open on %(when)s.") % {
        "when": when
    } if when else ""


def _rate_limited(facts: Facts) -> TitleAndAdvice:
    minutes = -(-facts.get("retry_after", 60) // 60)
    advice = ngettext("Please try again in %(n)s minute.", "Please try again in %(n)s minutes.", minutes)
    return _("Too many attempts"), advice % {"n": minutes}


def _cooling_down(facts: Facts) -> TitleAndAdvice:
    return _("Several of your reservations have expired."), _rate_limited(facts)[1]


_MESSAGES: dict[str, Callable[[Facts], TitleAndAdvice]] = {
    "sold_out": lambda _facts: (
        _("These tickets are sold out."),
        _("Choose another ticket type, or check again later. Sometimes tickets become available again."),
    ),
    "all_held": _all_held,
    "not_enough": _not_enough,
    "already_reserved": lambda _facts: (
        _("You have already reserved tickets of this type."),
        _("Pay for these tickets or release them before you reserve more."),
    ),
    "over_limit": _over_limit,
    "sale_not_open": _sale_not_open,
    "sale_ended": lambda _facts: (_("Ticket sales have ended."), _("Nothing was reserved.")),
    "sale_paused": lambda _facts: (
        _("Ticket sales are paused."),
        _("Your selection is kept. Try again when sales resume. This page updates automatically."),
    ),
    "line_closed": lambda _facts: (
        _("Nobody can join this line now."),
        _(
            "You can join the line shortly before the sale opens. If nobody is waiting, you can"
            " reserve tickets directly."
        ),
    ),
    "address_in_line": lambda _facts: (
        _("Somebody with this e-mail address is already in this line."),
        _(
            "Each person gets only one place. Open this page on the device or in the account with"
            " which you joined the line."
        ),
    ),
    "entry_outdated": lambda _facts: (
        _("You no longer have the place in the line that this page showed. Nothing was changed."),
        _("The page is now up to date."),
    ),
    "wrong_email_code": lambda _facts: (
        _("This code is wrong or no longer valid."),
        _("Use the code from the newest mail. A code is valid for 15 minutes and at most five tries."),
    ),
    "line_action_refused": lambda _facts: (
        _("This is not possible in the current state of the line."),
        _("The line may have changed in the meantime. Check its state below."),
    ),
    "line_outdated": lambda _facts: (
        _("Nothing was changed."),
        _("Somebody else has made a change since you opened the page. Check the page again."),
    ),
    "line_first": lambda _facts: (
        _("People in the line get these tickets first."),
        _("Nothing was reserved. Join the line on the event's page."),
    ),
    "order_changed": lambda _facts: (
        _("Your order and its price have changed."),
        _("You were not charged. Check the new total, then pay."),
    ),
    "event_moved": lambda _facts: (
        _("The event has changed since you opened this page."),
        _("You were not charged. Check the date and the place, then pay."),
    ),
    "order_full": lambda _facts: (
        _("An order can have at most twenty ticket types."),
        _("Pay for this order first, or choose fewer ticket types."),
    ),
    "several_events": lambda _facts: (
        _("All tickets of an order must be for the same event."),
        _("Create one order for each event."),
    ),
    "unknown_ticket_type": lambda _facts: (
        _("This ticket type is no longer available."),
        _("Choose one of the ticket types below."),
    ),
    "idempotency_key_reused": lambda _facts: (
        _("You have already reserved tickets from this page."),
        _("You can find these tickets under My tickets. To reserve more, choose tickets again."),
    ),
    "reservation_ended": lambda _facts: (
        _("This reservation has ended, and its tickets are back on sale."),
        _("You were not charged. You can try to reserve the same tickets again."),
    ),
    "reservation_expired": _too_late,
    "too_many_held": lambda _facts: (
        _("You already have several unpaid orders."),
        _(
            "Pay for one of them or release it. Then you can reserve more. You can find your orders"
            " under My tickets."
        ),
    ),
    "cooling_down": _cooling_down,
    "email_required": lambda _facts: (
        _("Please enter your e-mail address."),
        _("We send your tickets to this address. Your tickets stay reserved while you enter the address."),
    ),
    "email_has_account": lambda _facts: (
        _("There is already an account with this e-mail address."),
        _("Log in to this account to continue. Your reserved tickets move to the account."),
    ),
    "account_required": lambda _facts: (
        _("You need an account to buy tickets for this event."),
        _("Sign up or log in. Your selection is kept."),
    ),
    "already_validated": lambda _facts: (
        _("These tickets are already paid for."),
        _("You can find these tickets under My tickets."),
    ),
    "already_paid": lambda _facts: (
        _("This order has already been paid for."),
        _("You will not be charged twice."),
    ),
    "payment_in_progress": lambda _facts: (
        _("A payment for these tickets is in progress."),
        _("This page shows the result as soon as the payment is complete. You will not be charged twice."),
    ),
    "ticket_changed": lambda _facts: (
        _("This ticket has changed in the meantime."),
        _("Nothing was changed. Check the ticket below."),
    ),
    "ticket_used": lambda _facts: (
        _("This ticket was used at the door."),
        _("The ticket can no longer be handed over."),
    ),
    "not_extendable": _not_extendable,
    "permission_denied": lambda _facts: (
        _("You do not have access to this page."),
        _("Log in with a staff account that has access."),
    ),
    "invitation_ended": lambda _facts: (
        _("This invitation no longer works."),
        _(
            "The invitation was used, withdrawn or sent again, or it has expired. Ask the person who"
            " invited you for a new invitation."
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
        _("This server does not have a site at this address."),
        _("Check the address and try again."),
    ),
    "busy": lambda _facts: (
        _("The site is very busy right now."),
        _("Nothing was changed. Please try again in a moment."),
    ),
    "server_error": lambda _facts: (
        _("Something went wrong on our side."),
        _("We have recorded the error. Your tickets and payments are safe."),
    ),
    "csrf_failed": lambda _facts: (
        _("This page has expired."),
        _("Go back, reload the page and try again. Nothing was changed."),
    ),
}
