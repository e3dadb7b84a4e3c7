"""The label of an event's state on the organiser's pages: a text, and a tone. The CSS has colours for each tone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _


@dataclass(frozen=True, kw_only=True)
class Label:
    tone: str
    text: str


def of_event(event: Any, *, now: datetime) -> Label:
    """Return the label of an event. The event has the figures that `selectors.with_figures` adds."""
    if event.status == event.Status.DRAFT:
        return Label(tone="held", text=_("Draft"))
    if event.status == event.Status.CANCELLED:
        return Label(tone="ended", text=_("Cancelled"))
    if event.closes_at is None:
        return Label(tone="held", text=_("No tickets yet"))
    if event.closes_at <= now:
        return Label(tone="ended", text=_("Sale ended"))
    if not event.selling:
        return Label(tone="paused", text=_("Sale paused"))
    if not event.opened:
        return Label(tone="upcoming", text=_("Sale not open yet"))
    if not event.unsold:
        return Label(tone="sold-out", text=_("Sold out"))
    return Label(tone="open", text=_("On sale"))
