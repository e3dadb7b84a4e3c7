"""What a line's page says to those who wait. `static/line/line-labels.js` says the same, live."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats
from tickets.line import rules


def waiting_text(line: Mapping[str, Any], place: int | None, time_zone: str) -> str:
    """Write where somebody who waits is, in a line as its stream shows it."""
    if place is None:
        return _before_the_draw(line, time_zone)
    if place <= line["served"]:
        return _(
            "Your turn has come, but what you want is not available now. You keep your place: "
            "tickets that come back are offered to you before anybody behind you."
        )
    text = _("Your place is %(place)s.") % {"place": formats.number(place)}
    ahead = rules.people_ahead(place, line["served"]) or 0
    if ahead == 0:
        return f"{text} {_('You are next.')}"
    people = ngettext("%(n)s person is ahead of you.", "%(n)s people are ahead of you.", ahead)
    return f"{text} {people % {'n': formats.number(ahead)}}"


def _before_the_draw(line: Mapping[str, Any], time_zone: str) -> str:
    if line["seed"] is not None:
        return _("The places have been drawn. Yours appears in a moment.")
    when = formats.date_time(line["opens_at"], time_zone) if line["opens_at"] else ""
    text = _(
        "Places are drawn when the sale opens, %(when)s. Everybody who is in line by then has the same chance."
    ) % {"when": when}
    entered = ngettext("%(n)s person has entered.", "%(n)s people have entered.", line["entries"])
    return f"{text} {entered % {'n': formats.number(line['entries'])}}"


def wait_text(seconds: int | None) -> str:
    """Write how long the wait is; nothing while it is not known."""
    if seconds is None:
        return ""
    if seconds <= 60:
        return _("Your turn comes in about a minute or less.")
    minutes = -(-seconds // 60)
    text = ngettext(
        "Your turn comes in about %(n)s minute.", "Your turn comes in about %(n)s minutes.", minutes
    )
    return text % {"n": formats.number(minutes)}
