"""Delete rows that are no longer needed, in transactions so small that nobody has to wait.

Each app has a task that deletes its old rows each night. The command `prune` runs these tasks immediately.
"""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel

from overlord.kernel import db

BATCH = 1_000

Row = TypeVar("Row", bound=Model)


def prune(rows: Callable[[], QuerySet[Model]]) -> int:
    """Delete all rows that the query of `rows()` selects; return how many.

    A row that somebody else has locked stays until the next night.
    """
    count = 0
    while True:
        with db.transaction():
            keys = _locked_keys(rows())
            # The query runs again: before the lock, somebody can have changed a row, or made one that refers to it.
            _, deleted = rows().filter(pk__in=keys).delete()
        now_deleted = deleted.get(rows().model._meta.label, 0)
        if not now_deleted:
            return count
        count += now_deleted


def unreferenced(rows: QuerySet[Row], *, but: Collection[type[Model]] = ()) -> QuerySet[Row]:
    """Leave out the rows to which a row of any table refers, even a row of their own table.

    References from rows of the models in `but` do not count.
    """
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel) or relation.related_model in but:
            continue
        referring = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        rows = rows.filter(~Exists(referring))
    return rows


def _locked_keys(rows: QuerySet[Model]) -> list[Any]:
    """Lock the first rows that nobody else has locked, and return their keys."""
    free = rows.only("pk").select_for_update(of=("self",), skip_locked=True)
    return [row.pk for row in free[:BATCH]]
