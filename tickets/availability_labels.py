"""The labels that say how many tickets are left. static/tickets/availability-labels.js renews them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats

Tone = Literal["open", "few", "carts", "out", "upcoming", "ended", "paused"]

FEW = 10
FEW_SHARE = 20  # few is also what is less than one in so many


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A sentence, and the tone by which pages choose its shape and colour."""

    tone: Tone
    words: str


def of_type(ticket: Mapping[str, Any]) -> Standing:
    """Will say how it stands with a ticket type, as the API shows it."""
    closed = _not_on_sale(ticket["sale"], ticket["opens_at"])
    if closed:
        return closed
    available = ticket["available"]
    if available > max(FEW, ticket["amount"] // FEW_SHARE):
        return Standing(tone="open", words=_("%(n)s left") % {"n": formats.number(available)})
    if available > 0:
        words = ngettext("Only %(n)s left", "Only %(n)s left", available)
        return Standing(tone="few", words=words % {"n": formats.number(available)})
    if ticket["held"] > 0:
        return Standing(tone="carts", words=_in_carts(ticket["next_release_at"]))
    return Standing(tone="out", words=_("Sold out"))


def of_event(event: Mapping[str, Any]) -> Standing:
    """Will say how it stands with an event, as the stream of all events shows it."""
    closed = _not_on_sale(event["sale"], None)
    if closed:
        return closed
    available = event["available"]
    if available > FEW:
        return Standing(tone="open", words=_("%(n)s left") % {"n": formats.number(available)})
    if available > 0:
        words = ngettext("Only %(n)s left", "Only %(n)s left", available)
        return Standing(tone="few", words=words % {"n": formats.number(available)})
    return Standing(tone="out", words=_("None left right now"))


def _not_on_sale(sale: str, opens_at: datetime | None) -> Standing | None:
    if sale == "upcoming":
        when = _("Opens %(when)s") % {"when": formats.moment(opens_at)} if opens_at else _("Not on sale yet")
        return Standing(tone="upcoming", words=when)
    if sale == "ended":
        return Standing(tone="ended", words=_("Sale ended"))
    if sale == "paused":
        return Standing(tone="paused", words=_("Sale paused"))
    return None


def _in_carts(next_release_at: datetime | None) -> str:
    if next_release_at is None:
        return _("All remaining are in other people's carts")
    return _("All remaining are in other people's carts; the next may return at %(time)s") % {
        "time": formats.clock(next_release_at)
    }


def may_try(ticket: Mapping[str, Any]) -> bool:
    """Will say whether to offer the button: also where all are held, for a hold may end before it is pressed."""
    return ticket["sale"] == "open" and ticket["available"] + ticket["held"] > 0
