"""Steps of the shop inside an open transaction: lock and write the look, and lock a picture."""

from overlord.kernel import db
from overlord.shop import look as remembered
from overlord.shop.models import Look


def look_lock() -> Look:
    """Lock the look against other edits of it, and return it."""
    db.transaction_required()
    Look.objects.bulk_create([Look(pk=1)], ignore_conflicts=True)
    return Look.objects.select_for_update(no_key=True).get(pk=1)


def look_set(*, look: Look) -> None:
    """Write a look that is locked. This process shows it after the commit, all others within two seconds."""
    db.transaction_required()
    look.version += 1
    look.save()
    db.after_commit(remembered.forget)


def picture_lock(*, name: str) -> None:
    """Lock a picture until the transaction ends, so that it is not deleted while a row begins to refer to it."""
    db.transaction_required()
    db.rows("SELECT pg_advisory_xact_lock(hashtextextended('picture ' || %s, 0))", [name])
