"""The sentences of a line's page for people who wait. `static/line/line-labels.js` makes the same ones, live."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.shop import formats
from tickets.line import rules
from tickets.line.rules import Action


def waiting_text(line: Mapping[str, Any], place: int | None, time_zone: str) -> str:
    """Return the sentence about the place of a person who waits. `line` is as its stream shows it."""
    if place is None:
        return _before_the_draw(line, time_zone)
    if place <= line["served"]:
        return _(
            "It is your turn, but the tickets that you want are not available now. You keep your"
            " place. If tickets become available again, you can get them before the people behind you."
        )
    text = _("Your place is %(place)s.") % {"place": formats.number(place)}
    ahead = rules.people_ahead(place, line["served"]) or 0
    if ahead == 0:
        return f"{text} {_('You are next.')}"
    people = ngettext("%(n)s person is ahead of you.", "%(n)s people are ahead of you.", ahead)
    return f"{text} {people % {'n': formats.number(ahead)}}"


def _before_the_draw(line: Mapping[str, Any], time_zone: str) -> str:
    if line["seed"] is not None:
        return _("The places have been drawn. Your place appears in a moment.")
    if line["digest"] is not None:
        text = _("The list is closed. Places are drawn as soon as this value is known: %(name)s.")
        return text % {"name": line["public_name"]}
    text = draw_text(line, time_zone)
    entered = ngettext("%(n)s person has joined.", "%(n)s people have joined.", line["entries"])
    return f"{text} {entered % {'n': formats.number(line['entries'])}}"


def draw_text(line: Mapping[str, Any], time_zone: str) -> str:
    """Return what the draw means for people who join now, before the draw."""
    if line["digest"] is not None:
        return _(
            "The list for the draw is closed. People who join now come behind everybody on the list, in the"
            " order in which they join."
        )
    when = formats.date_time(line["opens_at"], time_zone) if line["opens_at"] else ""
    return _(
        "A draw decides the order of the people in line when the sale opens: %(when)s. It does not matter"
        " how early you join."
    ) % {"when": when}


def ended_text(is_cancelled: bool) -> str:
    """Return the sentence for people who still waited when the sale ended."""
    if is_cancelled:
        return _("The event is cancelled. The line gives no more tickets. You were not charged.")
    return _(
        "The sale ended before you could get tickets. The line gives no more tickets. You were not charged."
    )


def wait_text(seconds: int | None) -> str:
    """Return the sentence about the length of the wait, or an empty text while that is not known."""
    if seconds is None:
        return ""
    if seconds <= 60:
        return _("Your turn comes in about a minute or less.")
    minutes = -(-seconds // 60)
    text = ngettext(
        "Your turn comes in about %(n)s minute.", "Your turn comes in about %(n)s minutes.", minutes
    )
    return text % {"n": formats.number(minutes)}


def reason_text(line: Mapping[str, Any]) -> str:
    """Return why a line stands still or is slow, or an empty text if it moves at full speed."""
    if line["held"]:
        return _("The organiser has paused the line. Your place stays the same.")
    if line["standing"]:
        return _(
            "The tickets that people in line want are not available now. If tickets become available"
            " again, the next people in line get them."
        )
    if line["most_per_minute"] is not None:
        return _("The organiser has slowed the line down.")
    return ""


def deeds() -> dict[str, str]:
    """Return the words for each action of staff, for the record of a line and for the journal."""
    return {
        Action.HOLD: _("Paused the line"),
        Action.GO_ON: _("Resumed the line"),
        Action.SLOWER: _("Slowed the line down"),
        Action.FASTER: _("Sped the line up"),
        Action.OPEN_NOW: _("Opened the sale early"),
        Action.MESSAGE: _("Sent a message to everybody in line"),
        Action.NAME_VALUE: _("Named the public value for the draw"),
        Action.GIVE_VALUE: _("Entered the public value for the draw"),
    }
