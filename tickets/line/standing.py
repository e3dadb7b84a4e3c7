"""Remember which long lines stand still, so that the giver does not read all their entries twice a second.

Runs in the giver: one thread at a time, by its advisory lock. A line that stands is tried again when its row or an
inventory has changed, and otherwise as often as `seconds_between_reads` says, because nothing tells the giver that
somebody who waits wishes something else now. A line that staff hold is treated alike: to serve it reads the wishes
while a type is open to direct claims.
"""

from dataclasses import dataclass
from time import monotonic

from tickets.line import rules, selectors
from tickets.line.models import Line

State = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class _Stood:
    """The state in which a line stood, and when it was tried, by `monotonic()`."""

    state: State
    at: float


_stood: dict[int, _Stood] = {}


def state_of(line: Line) -> State | None:
    """Return what decides whether a line that stands may move; None for a line that may be tried each time."""
    if not rules.seconds_between_reads(line.entered):
        return None
    inventories = selectors.inventories_state(event_id=line.pk)
    return (line.entered, line.served, line.phase, line.is_held, line.most_per_minute, inventories)


def is_due(line: Line, state: State | None) -> bool:
    """Return whether to try a line: not if it stood in the same state a moment ago."""
    stood = _stood.get(line.pk)
    if state is None or stood is None or stood.state != state:
        return True
    return monotonic() - stood.at >= rules.seconds_between_reads(line.entered)


def tried(line: Line, state: State | None, *, turns: int) -> None:
    """Remember that a line stands in this state, if it stood or was held before it was tried and had no turn."""
    if state is not None and (line.is_standing or line.is_held) and not turns:
        _stood[line.pk] = _Stood(state=state, at=monotonic())
    else:
        _stood.pop(line.pk, None)
