"""The labels that say how many tickets are left. `static/tickets/availability-labels.js` makes the same labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats
from tickets.event_rules import SaleState

Tone = Literal["open", "few", "held", "sold-out", "upcoming", "ended", "paused", "line"]

FEW = 10
FEW_SHARE = 20  # a twentieth of the capacity, or less, also counts as few


@dataclass(frozen=True, kw_only=True)
class Label:
    """A short text, and the tone that decides its symbol and colour."""

    tone: Tone
    text: str


def of_ticket_type(ticket: Mapping[str, Any], time_zone: str) -> Label:
    """Return the label of a ticket type. `ticket` is as the API shows it; times are written in `time_zone`."""
    if label := _not_on_sale(ticket["sale"], ticket["opens_at"], time_zone):
        return label
    if label := _left(ticket["available"], few=max(FEW, ticket["amount"] // FEW_SHARE)):
        return label
    if ticket["held"] > 0:
        return Label(tone="held", text=_all_on_hold(ticket["next_release_at"], time_zone))
    return Label(tone="sold-out", text=_("Sold out"))


def of_event(event: Mapping[str, Any], held: int | None = None) -> Label:
    """Return the label of an event. `event` is as the stream of all events shows it.

    Only ticket types that are on sale now count, because nobody can reserve the others. The stream does not say how
    many of their tickets are on hold. A caller that knows this number gives it as `held`.
    """
    if label := _not_on_sale(event["sale"], None, "") or _left(event["available"], few=FEW):
        return label
    if held is None:
        return Label(tone="sold-out", text=_("No tickets left"))
    if held > 0:
        return Label(tone="held", text=_("All reserved"))
    return Label(tone="sold-out", text=_("Sold out"))


def _left(available: int, *, few: int) -> Label | None:
    if available <= 0:
        return None
    if available > few:
        return Label(tone="open", text=_("%(n)s left") % {"n": formats.number(available)})
    text = ngettext("Only %(n)s left", "Only %(n)s left", available)
    return Label(tone="few", text=text % {"n": formats.number(available)})


def _not_on_sale(sale: str, opens_at: datetime | None, time_zone: str) -> Label | None:
    if sale == SaleState.UPCOMING:
        return Label(tone="upcoming", text=_opening(opens_at, time_zone))
    if sale == SaleState.ENDED:
        return Label(tone="ended", text=_("Sales ended"))
    if sale == SaleState.CANCELLED:
        return Label(tone="ended", text=_("Cancelled"))
    if sale == SaleState.PAUSED:
        return Label(tone="paused", text=_("Sales paused"))
    if sale == SaleState.LINE:
        return Label(tone="line", text=_("Through the line"))
    return None


def _opening(opens_at: datetime | None, time_zone: str) -> str:
    if opens_at is None:
        return _("Not on sale yet")
    return _("On sale from %(when)s") % {"when": formats.date_time(opens_at, time_zone)}


def _all_on_hold(next_release_at: datetime | None, time_zone: str) -> str:
    if next_release_at is None:
        return _("All reserved")
    return _("All reserved. Some may become available at %(time)s") % {
        "time": formats.time_to_the_second(next_release_at, time_zone)
    }


def can_reserve(ticket: Mapping[str, Any]) -> bool:
    """Return whether the page offers to reserve this type. It does so even while all remaining tickets are held."""
    return ticket["sale"] == SaleState.OPEN and ticket["available"] + ticket["held"] > 0
