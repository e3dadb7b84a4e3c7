"""Keep sold-out answers in this process, so that a rush costs PostgreSQL less.

All threads of a web process share the answers. This process's monotonic clock measures how long an answer is kept.
No time of day is used: the times in an answer are PostgreSQL's, and the clock of this machine may differ.
"""

import time
from datetime import datetime, timedelta

from overlord.kernel.errors import DomainError
from tickets.rules import AllHeld, ClaimFacts, SoldOut

CACHED_FOR = timedelta(milliseconds=250)
# By ticket type: until when the answer is kept, by time.monotonic(), and the answer.
_answers: dict[int, tuple[float, DomainError]] = {}


def remember(*, ticket_type: int, facts: ClaimFacts, refused: DomainError) -> None:
    """Keep a refusal of a claim with these facts for as long as `cached_for` allows."""
    kept_for = cached_for(refused, now=facts.now)
    if kept_for is not None:
        kept = type(refused)(refused.detail, **refused.facts)
        _answers[ticket_type] = (time.monotonic() + kept_for.total_seconds(), kept)


def recall(*, ticket_type: int) -> None:
    """Raise the refusal that is kept for this ticket type, if there is one."""
    until, refused = _answers.get(ticket_type, (0.0, None))
    if refused is None:
        return
    if time.monotonic() < until:
        raise type(refused)(refused.detail, **refused.facts)
    _answers.pop(ticket_type, None)


def forget() -> None:
    """Forget all answers."""
    _answers.clear()


def cached_for(refused: DomainError, *, now: datetime) -> timedelta | None:
    """Return how long a process may repeat this refusal without a query, or None if it may not.

    Only SoldOut and AllHeld are kept, the latter at most until the next hold ends. `now` and the times in the
    refusal are by the same clock, so their difference is right even if this machine's clock is wrong.
    """
    if isinstance(refused, SoldOut):
        return CACHED_FOR
    release: datetime | None = refused.facts["next_release_at"] if isinstance(refused, AllHeld) else None
    return None if release is None else min(CACHED_FOR, release - now)
