"""The rules for migrations that run while the former release still sells: expand first, contract later.

A release adds what its code needs (a nullable column, one with a default in the database, a table, a function under
a new name), and the next one removes what code no longer uses. A migration that contracts has an attribute that
names the last release that needs what it removes: `contracts = "0.3.0"`.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation

# Each forbidden piece of SQL, and what is wrong with it.
FORBIDDEN_SQL = {
    r"\bDROP\s+(TABLE|COLUMN|SEQUENCE|VIEW|TYPE)\b": "removes what the former release may use",
    r"\bDROP\s+(FUNCTION|PROCEDURE)\b": "removes or replaces a function that the former release may call",
    r"\bRENAME\b": "renames what the former release may use",
    r"\bSET\s+NOT\s+NULL\b": "reads the whole table under a lock; add a CHECK that is NOT VALID and validate it",
    r"\bCREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)": "locks the table: create the index CONCURRENTLY",
    r"\bADD\s+CONSTRAINT\b(?![^;]*\b(NOT\s+VALID|USING\s+INDEX)\b)": "reads the whole table: add it NOT VALID",
}
REMOVING = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.RenameModel,
    migrations.DeleteModel,
    migrations.AlterModelTable,
)
UNQUALIFIED_TABLE = re.compile(r"\bCREATE\s+TABLE\s+(\w+)")


def objections(migration: Any) -> list[str]:
    """Return the problems that a migration would cause for the former release or for a sale meanwhile."""
    if getattr(migration, "contracts", ""):
        return []
    made = {
        operation.name for operation in migration.operations if isinstance(operation, migrations.CreateModel)
    }
    return [
        text
        for operation in migration.operations
        for text in _of(operation, made={each.lower() for each in made})
    ]


def _of(operation: Operation, *, made: set[str]) -> Iterator[str]:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        for inner in operation.database_operations:
            yield from _of(inner, made=made)
    elif isinstance(operation, REMOVING):
        yield f"{operation.describe()}: the former release may use it"
    elif isinstance(operation, migrations.AddField) and operation.model_name.lower() not in made:
        field: Any = operation.field
        if not (field.null or field.has_db_default() or field.many_to_many):
            yield f"{operation.describe()}: the former release inserts without it; give it a db_default"
    elif type(operation) is migrations.AddIndex and operation.model_name.lower() not in made:
        yield f"{operation.describe()}: locks the table; use AddIndexConcurrently"
    elif isinstance(operation, migrations.RunSQL):
        yield from _of_sql(operation.sql)


def _of_sql(sql: Any) -> Iterator[str]:
    texts = (
        [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql or []]
    )
    text = re.sub(r"--[^\n]*", "", ";\n".join(texts))
    new = UNQUALIFIED_TABLE.findall(text)
    for pattern, wrong in FORBIDDEN_SQL.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            statement = text[found.start() :].partition(";")[0]
            if not any(re.search(rf"\b(ON|TABLE)\s+{table}\b", statement) for table in new):
                yield f"{found.group()}: {wrong}"
