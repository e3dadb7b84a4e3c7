"""The use cases of the journal: record an action that changes no row, and delete old entries."""

from datetime import datetime
from typing import Any

from overlord.journal import operations
from overlord.journal.actions import Action
from overlord.kernel import db

BATCH = 1_000


def entry_write(*, actor_id: int | None, action: Action, now: datetime, **about: Any) -> None:
    """Record an action that changed no row, such as a download. `about` is as for `operations.entry_add`."""
    with db.transaction():
        operations.entry_add(actor_id=actor_id, action=action, now=now, **about)


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the entries from before this time, in small transactions; return how many were deleted."""
    count = 0
    while True:
        with db.transaction():
            deleted = operations.entries_delete(before=before, most=BATCH)
        count += deleted
        if deleted < BATCH:
            return {"entries of the journal": count}
