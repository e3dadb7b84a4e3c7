"""The sentences about the buyer's own tickets on an event's page.

`static/tickets/own-tickets.js` makes the same sentences, live.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats
from tickets.rules import LIVE_STATES, ReservationState


@dataclass(frozen=True, kw_only=True)
class Own:
    """The buyer's tickets of one type: the live reservation, if any, and how many are paid for."""

    reservation: int | None = None
    is_paying: bool = False
    on_hold: int = 0
    paid: int = 0

    @property
    def count(self) -> int:
        return self.on_hold + self.paid


def of_type(reservations: Iterable[Mapping[str, Any]], ticket_type: int) -> Own:
    """Return the buyer's tickets of a type, summed up from reservations as the API shows them."""
    mine = [each for each in reservations if each["ticket_type"] == ticket_type]
    live = next((each for each in mine if each["state"] in LIVE_STATES), None)
    return Own(
        reservation=live["id"] if live else None,
        is_paying=live is not None and live["state"] == ReservationState.PAYING,
        on_hold=live["amount"] if live else 0,
        paid=sum(each["amount"] for each in mine if each["state"] == ReservationState.VALIDATED),
    )


def live_text(own: Own) -> str:
    """Return the text of the link to the checkout, or an empty text without a live reservation."""
    if own.reservation is None:
        return ""
    count = {"n": formats.number(own.on_hold)}
    if own.is_paying:
        text = ngettext(
            "Your payment for %(n)s ticket is in progress. Check status",
            "Your payment for %(n)s tickets is in progress. Check status",
            own.on_hold,
        )
    else:
        text = ngettext(
            "You have %(n)s reserved ticket. Go to checkout",
            "You have %(n)s reserved tickets. Go to checkout",
            own.on_hold,
        )
    return text % count


def limit_text(own: Own, limit: int) -> str:
    """Return a text that says how many tickets of a type one person may have, and how many the buyer has bought."""
    text = _("Limit: %(limit)s per person.") % {"limit": formats.number(limit)}
    if own.paid == 0:
        return text
    bought = ngettext("You bought %(n)s.", "You bought %(n)s.", own.paid) % {"n": formats.number(own.paid)}
    return f"{text} {bought}"


def can_choose(own: Own, limit: int) -> int:
    """Return how many more tickets of a type the buyer may reserve now."""
    return 0 if own.reservation is not None else max(0, limit - own.paid)
