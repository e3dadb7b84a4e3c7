"""The sold-out cache: repeats sold-out answers in this process, so that a rush spares PostgreSQL.

Shared by all threads of a web process. An answer is kept for a length of time, measured by this process's monotonic
clock. It is not kept until a certain time, because that would be PostgreSQL's time, and this machine's clock may
differ.
"""

import time
from datetime import datetime, timedelta

from overlord.kernel.errors import DomainError
from tickets.rules import AllHeld, ClaimFacts, SoldOut

CACHED_FOR = timedelta(milliseconds=250)
_answers: dict[int, tuple[float, DomainError]] = {}  # ticket type: (until when, by time.monotonic(), answer)


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
    """Remove all that is kept."""
    _answers.clear()


def cached_for(refused: DomainError, *, now: datetime) -> timedelta | None:
    """Return how long a process may repeat this refusal without asking PostgreSQL; None when it must ask.

    Only "nothing is left" is cached, and never beyond the end of the next hold. `now` and the refusal's instants
    come from the same clock, so their difference is right even when this machine's clock is wrong.
    """
    if isinstance(refused, SoldOut):
        return CACHED_FOR
    release: datetime | None = refused.facts["next_release_at"] if isinstance(refused, AllHeld) else None
    return None if release is None else min(CACHED_FOR, release - now)
