"""Delete rows that are no longer needed, in small transactions that make nobody wait.

Each app names what it keeps no longer; a task of its own deletes that each night, and `manage.py prune` at once.
"""

from collections.abc import Callable

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel

from overlord.kernel import db

BATCH = 1_000


def prune(rows: Callable[[], QuerySet[Model]]) -> int:
    """Delete all that `rows` selects and count it."""
    count = 0
    while True:
        with db.transaction():
            keys = list(rows().values_list("pk", flat=True)[:BATCH])
            if not keys:
                return count
            deleted, _ = rows().filter(pk__in=keys).delete()
        count += len(keys)
        if not deleted:  # since the read, `rows` no longer selects any of them
            return count - len(keys)


def unreferenced(rows: QuerySet[Model]) -> QuerySet[Model]:
    """Leave out the rows to which a row of any table refers, their own too."""
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel):
            continue
        referring = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        rows = rows.filter(~Exists(referring))
    return rows
