"""Empty the tables, instead of Django's `flush`: by DELETE and without `post_migrate`.

A test leaves few rows, and TRUNCATE would create each table and index again. Content types and permissions stay.
"""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from overlord.kernel import postgres_wait
from tickets.admission import known_keys

# A few tests leave many rows, whose deletion may take long on a busy machine.
UNLIMITED = "SET LOCAL statement_timeout = 0"
# The journal lets rows be deleted only with this setting, as its own pruning does.
ALLOWED = "SET LOCAL journal.prunes = 'yes'"
KEPT = {"django_content_type", "auth_permission"}


class Command(BaseCommand):
    help = "Empties the tables of the test database."
    stealth_options = ("interactive", "database", "reset_sequences", "allow_cascade", "inhibit_post_migrate")

    def handle(self, *_args: Any, **_options: Any) -> None:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = sorted(set(tables) - KEPT)
        # Foreign keys are checked at the end of this one transaction, so the order of the tables does not matter.
        deletes = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in emptied]  # noqa: S608
        with postgres_wait.patience(), connection.cursor() as cursor:
            cursor.execute("; ".join(["BEGIN", UNLIMITED, ALLOWED, *deletes, "COMMIT", "RESET ALL"]))
        # After a test that restores a database, the sequence gives the ids of keys a second time.
        known_keys.forget()
