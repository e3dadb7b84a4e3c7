"""The command `migrate`: Django's, for a database that is in use.

While a migration waits for the lock of a table, all later statements that need the table wait too. So a migration
waits only briefly for a lock, gives up, and tries again. Migrations that are done stay done. Only the wait for a
lock is short; the work of a migration may take any time. If several machines start at once, one migrates, and the
others wait and try again in the same way.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg2.errors import DeadlockDetected, LockNotAvailable

from overlord.kernel import postgres_wait
from overlord.kernel.commit_watch import PATIENT_NAME

LOCK_SECONDS = 2
PAUSE_SECONDS = 3
ATTEMPTS = 40  # in about three minutes
SESSION = (
    f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = 0;"
    f" SET application_name = '{PATIENT_NAME}';"
)
ALONE = "SELECT pg_advisory_lock(hashtextextended('migrate', 0))"  # until the session ends


class Command(migrate.Command):
    help = "Update the database while the shop goes on selling."

    def handle(self, *args: Any, **options: Any) -> None:
        connection: Any = connections[options["database"]]
        with postgres_wait.patience():
            if connection.in_atomic_block:
                super().handle(*args, **options)
                return
            with connection.directly():  # the settings of SESSION end with this connection
                self._repeat(connection, *args, **options)

    def _repeat(self, connection: Any, *args: Any, **options: Any) -> None:
        for _ in range(ATTEMPTS):
            with connection.cursor() as cursor:
                cursor.execute(SESSION)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(ALONE)
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                    raise
                self.stdout.write(
                    f"A table is in use, or another machine migrates: {str(error).strip()} Trying again."
                )
                time.sleep(PAUSE_SECONDS)
            else:
                return
        raise CommandError(
            "A table stayed in use, or another machine still migrates: pg_stat_activity shows who. Run this command"
            " again."
        )
