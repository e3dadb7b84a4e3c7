"""The text of a mail about an event that was moved: each change, with the earlier and the new value."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from overlord.shop import formats
from tickets.admission.models import HolderNotice
from tickets.models import Event, MoveNotice


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of an event, in words: what has changed, the earlier value, and the new one."""

    what: str
    before: str
    now: str


def changes(event: Event, known: MoveNotice | HolderNotice) -> list[Change]:
    """Return how an event differs from the earlier date and place in a notice; an empty list if it does not.

    A part that is None in the notice is not known, and is left out.
    """
    found = []
    if known.date_before is not None:
        before = formats.date_time(known.date_before, known.time_zone_before)
        found.append(
            Change(what=_("Date"), before=before, now=formats.date_time(event.date, event.time_zone))
        )
    if known.venue_before is not None and known.address_before is not None:
        before = _place(known.venue_before, known.address_before)
        found.append(Change(what=_("Place"), before=before, now=_place(event.venue, event.address)))
    return [each for each in found if each.before != each.now]


def _place(venue: str, address: str) -> str:
    return ", ".join(filter(None, (venue, address))) or _("not known yet")
