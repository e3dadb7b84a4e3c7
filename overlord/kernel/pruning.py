"""Delete rows that are no longer needed, in transactions so small that nobody has to wait.

Each app has a task that deletes its old rows each night. The command `prune` runs these tasks at once.
"""

from collections.abc import Callable, Collection
from typing import TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel

from overlord.kernel import db

BATCH = 1_000

Row = TypeVar("Row", bound=Model)


def prune(rows: Callable[[], QuerySet[Model]]) -> int:
    """Delete all rows that the query of `rows()` selects; return how many."""
    count = 0
    while True:
        with db.transaction():
            keys = list(rows().values_list("pk", flat=True)[:BATCH])
            if not keys:
                return count
            deleted, _ = rows().filter(pk__in=keys).delete()
        count += len(keys)
        if not deleted:  # since they were read, the query no longer selects any of them
            return count - len(keys)


def unreferenced(rows: QuerySet[Row], *, but: Collection[type[Model]] = ()) -> QuerySet[Row]:
    """Leave out the rows to which a row of any table refers, even a row of their own table.

    Rows of the models in `but` do not count.
    """
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel) or relation.related_model in but:
            continue
        referring = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        rows = rows.filter(~Exists(referring))
    return rows
