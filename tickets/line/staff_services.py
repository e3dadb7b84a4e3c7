"""Actions of staff on a line.

Each action is one transaction. It is recorded with its actor, and open pages show its effect at once.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from overlord.kernel import db, texts
from overlord.kernel.errors import Invalid
from overlord.kernel.steps import step_log_after_commit
from tickets import operations as tickets
from tickets.line import operations, pace, projections, rules, selectors, services
from tickets.line.models import Line, PublicValue, StaffAction
from tickets.line.rules import Action, LineActionRefused, Phase

MOST_SHOWN = 100
TEXTS = {  # the actions that have a text, and its longest length
    Action.MESSAGE: rules.LONGEST_MESSAGE,
    Action.NAME_VALUE: rules.LONGEST_VALUE,
    Action.GIVE_VALUE: rules.LONGEST_VALUE,
}


def line_act(
    *, event_id: int, actor_id: int, action: Action, text: str, now: datetime, seen: str | None = None
) -> dict[str, Any]:
    """Do an action of staff on an event's line, and return the line as its stream shows it.

    `seen` is the text that the action replaces, as staff saw it: the limit in places a minute ("" for none) for
    SLOWER and FASTER, the message for MESSAGE, the name for NAME_VALUE. None means that this is not checked.

    Raise NotFound, Invalid for a text that does not fit, LineActionRefused, or LineOutdated, as `rules.check_seen`
    does, if the text to replace has changed.
    """
    selectors.check_exists(event_id=event_id)
    if not selectors.opens_by_draw(event_id=event_id):
        raise LineActionRefused("The sale of this event does not open by a draw.")
    text = _text(action, text)
    with db.transaction():
        if action == Action.NAME_VALUE:
            operations.lobby_lock(event_id=event_id)
        line = operations.line_lock(event_id=event_id)
        if action == Action.NAME_VALUE:
            _name_value(event_id, line, text, seen)
        elif line is None:
            raise LineActionRefused("Nobody can join the line of this event yet.")
        else:
            if action in SEEN:
                rules.check_seen(SEEN[action](line), seen=seen, wanted=text if action in TEXTS else None)
            ACTIONS[action](line, text, now)
        StaffAction.objects.create(
            event_id=event_id, actor_id=actor_id, at=now, action=action.value, text=text
        )
        step_log_after_commit(f"line_{action.value}", event_id=event_id, actor=actor_id)
    if action in (Action.OPEN_NOW, Action.GIVE_VALUE):
        services.draw(event_id=event_id)
    return projections.line_shown(event_id=event_id, now=now)


def staff_actions(*, event_id: int) -> list[StaffAction]:
    """Return the actions of staff on an event's line, the latest first; raise NotFound."""
    selectors.check_exists(event_id=event_id)
    return selectors.staff_actions(event_id=event_id, most=MOST_SHOWN)


def _text(action: Action, text: str) -> str:
    """Return an action's text without line breaks, or "" if the action takes none; raise Invalid."""
    most = TEXTS.get(action)
    if most is None or (action == Action.MESSAGE and not text.strip()):
        return ""
    try:
        return texts.one_line(text, most=most)
    except ValueError as error:
        raise Invalid(str(error), errors={"text": [str(error)]}) from None


def _name_value(event_id: int, line: Line | None, name: str, seen: str | None) -> None:
    """Set the name of the public value; raise LineActionRefused if the lobby has opened, or LineOutdated."""
    if line is not None:
        raise LineActionRefused(
            "People can already join the line, so the name of the public value can no longer be changed."
        )
    named = PublicValue.objects.select_for_update().filter(pk=event_id).first()
    rules.check_seen(named.name if named else "", seen=seen, wanted=name)
    PublicValue.objects.update_or_create(pk=event_id, defaults={"name": name})
    db.after_commit(partial(projections.announce_line, event_id=event_id))


def _hold(line: Line, _text: str, _now: datetime) -> None:
    rested = pace.rested(operations.line_pace(line))
    operations.line_changed(line=line, is_held=True, **operations.pace_fields(rested))


def _go_on(line: Line, _text: str, _now: datetime) -> None:
    operations.line_changed(line=line, is_held=False)


def _slower(line: Line, _text: str, now: datetime) -> None:
    _limit(line, pace.slower(operations.line_pace(line)), now)


def _faster(line: Line, _text: str, now: datetime) -> None:
    _limit(line, pace.faster(operations.line_pace(line)), now)


def _limit(line: Line, limit: int | None, now: datetime) -> None:
    limited = pace.limited(operations.line_pace(line), limit=limit, now=now)
    operations.line_changed(line=line, **operations.pace_fields(limited))


def _limit_now(line: Line) -> str:
    return str(line.most_per_minute or "")


def _message_now(line: Line) -> str:
    return line.message


def _message(line: Line, text: str, _now: datetime) -> None:
    operations.line_changed(line=line, message=text)


def _open_now(line: Line, _text: str, now: datetime) -> None:
    if line.phase != Phase.LOBBY or line.digest is not None:
        raise LineActionRefused("The list of this line is already closed.")
    tickets.sale_open(event_id=line.pk, now=now)


def _give_value(line: Line, value: str, _now: datetime) -> None:
    """Store the public value that was named before the lobby opened. The list must be closed first."""
    if line.phase != Phase.LOBBY or line.digest is None or not line.public_name:
        raise LineActionRefused("No draw is waiting for a public value.")
    if line.public_value is not None:
        raise LineActionRefused("The public value is already known.")
    operations.line_changed(line=line, public_value=value)


ACTIONS: dict[Action, Callable[[Line, str, datetime], None]] = {
    Action.HOLD: _hold,
    Action.GO_ON: _go_on,
    Action.SLOWER: _slower,
    Action.FASTER: _faster,
    Action.MESSAGE: _message,
    Action.OPEN_NOW: _open_now,
    Action.GIVE_VALUE: _give_value,
}
# The text that an action replaces, as it is now.
SEEN: dict[Action, Callable[[Line], str]] = {
    Action.SLOWER: _limit_now,
    Action.FASTER: _limit_now,
    Action.MESSAGE: _message_now,
}
