"""What this process remembers of refusals, so that a crowd before an empty shelf does not crowd PostgreSQL."""

from datetime import datetime

from overlord.kernel.errors import DomainError
from tickets import rules

_remembered: dict[int, tuple[datetime, DomainError]] = {}


def remember(*, ticket_type: int, refused: DomainError, now: datetime) -> None:
    """Will keep a refusal that holds whoever asks, for the instant `rules.remembered_until` allows."""
    until = rules.remembered_until(refused, now=now)
    if until is not None:
        _remembered[ticket_type] = (until, refused)


def recall(*, ticket_type: int, now: datetime) -> None:
    """Will raise the remembered refusal of this ticket type while it holds."""
    until, refused = _remembered.get(ticket_type, (now, None))
    if refused is None:
        return
    if now < until:
        raise type(refused)(refused.detail, **refused.facts)
    _remembered.pop(ticket_type, None)


def forget() -> None:
    """Will forget all refusals."""
    _remembered.clear()
