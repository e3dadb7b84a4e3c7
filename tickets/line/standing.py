"""Remember which long lines stand still, so that their entries are not all read twice a second.

This runs in the task that serves lines, in one thread at a time because of its advisory lock. A line that stands
still is tried again when its row or an inventory has changed. It is also tried every `seconds_between_reads`,
because nothing tells the task that a wish has changed. A line that staff have paused is treated in the same way,
because all its wishes are read too while a type is open to direct claims.
"""

from dataclasses import dataclass
from time import monotonic

from tickets.line import rules, selectors
from tickets.line.models import Line

State = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class _Stood:
    """The state in which a line stood still, and the `monotonic()` time at which it was tried."""

    state: State
    at: float


_stood: dict[int, _Stood] = {}


def state_of(line: Line) -> State | None:
    """Return the state that decides whether a long line may move; None for a short line, which is always tried."""
    if not rules.seconds_between_reads(line.entered):
        return None
    inventories = selectors.inventories_state(event_id=line.pk)
    return (line.entered, line.served, line.phase, line.is_held, line.most_per_minute, inventories)


def is_due(line: Line, state: State | None) -> bool:
    """Return whether to try a line now. A line that stood still in the same state a moment ago is not tried."""
    stood = _stood.get(line.pk)
    if state is None or stood is None or stood.state != state:
        return True
    return monotonic() - stood.at >= rules.seconds_between_reads(line.entered)


def tried(line: Line, state: State | None, *, turns: int) -> None:
    """Remember the state of a line that stands still or is paused, if nobody had a turn; otherwise forget it."""
    if state is not None and (line.is_standing or line.is_held) and not turns:
        _stood[line.pk] = _Stood(state=state, at=monotonic())
    else:
        _stood.pop(line.pk, None)
