"""Write to the journal, in the transaction of the change that an entry records."""

from datetime import datetime

from overlord.journal import sql
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.kernel import db, steps


def entry_add(
    *,
    actor_id: int | None,
    action: Action,
    now: datetime,
    event_id: int | None = None,
    order_id: int | None = None,
    person_id: int | None = None,
    **facts: int | str | list[str],
) -> None:
    """Add an entry: the actor, the action, and the event, order or person that it is about.

    `facts` has the values for the placeholders of the action's sentence. It never contains a person's name, and an
    e-mail address only as `address`, because an erasure finds it there. `actor_id` is None for a command on the
    server.
    """
    db.transaction_required()
    JournalEntry.objects.create(
        at=now,
        actor_id=actor_id,
        action=action.value,
        event_number=event_id,
        order_number=order_id,
        person_id=person_id,
        facts=facts,
        request_id=steps.request_id() or "",
    )


def address_forget(*, address: str) -> None:
    """Erase all facts of the entries whose fact `address` is this e-mail address."""
    db.transaction_required()
    JournalEntry.objects.filter(facts__address__iexact=address).update(facts={})


def entries_delete(*, before: datetime, most: int) -> int:
    """Delete the oldest entries from before this time, at most `most`, and return how many were deleted."""
    db.transaction_required()
    [row] = db.rows(sql.PRUNE, {"before": before, "most": most})
    return int(row["deleted"])
