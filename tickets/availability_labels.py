"""The labels that say how many tickets are left. `static/tickets/availability-labels.js` writes the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats

Tone = Literal["open", "few", "held", "sold-out", "upcoming", "ended", "paused"]

FEW = 10
FEW_SHARE = 20  # one twentieth of the capacity is few, too


@dataclass(frozen=True, kw_only=True)
class Label:
    """A short text, and the tone that gives it its symbol and colour."""

    tone: Tone
    text: str


def of_ticket_type(ticket: Mapping[str, Any]) -> Label:
    """Return the label of a ticket type as the API shows it."""
    if label := _not_on_sale(ticket["sale"], ticket["opens_at"]):
        return label
    if label := _left(ticket["available"], few=max(FEW, ticket["amount"] // FEW_SHARE)):
        return label
    if ticket["held"] > 0:
        return Label(tone="held", text=_all_on_hold(ticket["next_release_at"]))
    return Label(tone="sold-out", text=_("Sold out"))


def of_event(event: Mapping[str, Any]) -> Label:
    """Return the label of an event as the stream of all events shows it."""
    label = _not_on_sale(event["sale"], None) or _left(event["available"], few=FEW)
    return label or Label(tone="sold-out", text=_("No tickets available"))


def _left(available: int, *, few: int) -> Label | None:
    if available <= 0:
        return None
    if available > few:
        return Label(tone="open", text=_("%(n)s left") % {"n": formats.number(available)})
    text = ngettext("Only %(n)s left", "Only %(n)s left", available)
    return Label(tone="few", text=text % {"n": formats.number(available)})


def _not_on_sale(sale: str, opens_at: datetime | None) -> Label | None:
    if sale == "upcoming":
        when = (
            _("On sale from %(when)s") % {"when": formats.date_time(opens_at)}
            if opens_at
            else _("Not on sale yet")
        )
        return Label(tone="upcoming", text=when)
    if sale == "ended":
        return Label(tone="ended", text=_("Sales ended"))
    if sale == "paused":
        return Label(tone="paused", text=_("Sales paused"))
    return None


def _all_on_hold(next_release_at: datetime | None) -> str:
    if next_release_at is None:
        return _("All on hold")
    return _("All on hold. Some may become available at %(time)s") % {
        "time": formats.time_to_the_second(next_release_at)
    }


def can_reserve(ticket: Mapping[str, Any]) -> bool:
    """Return whether to offer the button. It is also offered while all are on hold: a hold may end any moment."""
    return ticket["sale"] == "open" and ticket["available"] + ticket["held"] > 0
