"""The command `migrate`: Django's command, for a database that is in use.

While a migration waits for the lock of a table, all later statements that need the table wait too. So a migration
waits only briefly for a lock, gives up, and tries again. Migrations that are done stay done. Only the wait for a
lock is short; the work of a migration can take any time. An index that is made CONCURRENTLY is allowed to wait for
any time too, because nobody waits behind it.

If several machines start at once, only the one that has the advisory lock migrates. The others try to take this
lock, and if it is not free, they try again after a pause. They must not wait for it in a statement. PostgreSQL
makes an index CONCURRENTLY only when all earlier statements have ended. So the index would wait for such a
statement, and the statement would wait for the lock.

An index whose making was interrupted stays in the database, invalid and unused. Each run removes such indexes
first, so that the interrupted migration can run again.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg2.errors import DeadlockDetected, LockNotAvailable

from overlord.kernel import postgres_wait
from overlord.kernel.commit_watch import PATIENT_NAME

LOCK_SECONDS = 2
PAUSE_SECONDS = 3
ATTEMPTS = 60  # in three to five minutes
SESSION = (
    f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = 0;"
    f" SET application_name = '{PATIENT_NAME}';"
)
ALONE = "SELECT pg_try_advisory_lock(hashtextextended('migrate', 0))"  # until the session ends
INVALID = """
SELECT indexrelid::regclass::text
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE NOT indisvalid AND relkind = 'i' AND nspname = current_schema()
   AND indexrelid NOT IN (SELECT index_relid FROM pg_stat_progress_create_index)
"""


class Command(migrate.Command):
    help = "Update the database while the shop goes on selling."

    def handle(self, *args: Any, **options: Any) -> None:
        connection: Any = connections[options["database"]]
        with postgres_wait.patience():
            if connection.in_atomic_block:
                super().handle(*args, **options)
                return
            # The settings of SESSION end with this connection.
            with connection.directly(), connection.execute_wrapper(_execute):
                self._repeat(connection, *args, **options)

    def _repeat(self, connection: Any, *args: Any, **options: Any) -> None:
        for _ in range(ATTEMPTS):
            reason = "Another machine migrates."
            try:
                if _begin(connection):
                    super().handle(*args, **options)
                    return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                    raise
                reason = f"A table is in use: {str(error).strip()}"
            self.stdout.write(f"{reason} Trying again.")
            time.sleep(PAUSE_SECONDS)
        raise CommandError(
            "A table stayed in use, or another machine still migrates: pg_stat_activity shows who. Run this command"
            " again."
        )


def _begin(connection: Any) -> bool:
    """Prepare the session; return whether this command has the lock, so that it migrates and no other does."""
    with connection.cursor() as cursor:
        cursor.execute(SESSION)
        cursor.execute(ALONE)
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(INVALID)
        for (index,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    return True


def _execute(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
) -> Any:
    """Run a statement of a migration. If it makes or removes an index CONCURRENTLY, do not limit its wait."""
    if "INDEX CONCURRENTLY" not in sql:
        return execute(sql, params, many, context)
    session = context["cursor"].cursor  # below the wrapper
    session.execute("SET lock_timeout = 0")
    result = execute(sql, params, many, context)
    session.execute(SESSION)
    return result
