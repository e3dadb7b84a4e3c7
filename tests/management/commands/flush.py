"""Empty the tables, instead of Django's `flush`: by DELETE and without `post_migrate`.

A test leaves few rows, and TRUNCATE would make each table and index anew. Content types and permissions stay.
"""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from tickets.admission import known_keys

# What keeps its rows from being deleted, as its own pruning does.
ALLOWED = "SET LOCAL journal.prunes = 'yes'"
KEPT = {"django_content_type", "auth_permission"}


class Command(BaseCommand):
    help = "Empties the tables of the test database."
    stealth_options = ("interactive", "database", "reset_sequences", "allow_cascade", "inhibit_post_migrate")

    def handle(self, *_args: Any, **_options: Any) -> None:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = sorted(set(tables) - KEPT)
        # One transaction, at whose end the foreign keys are looked at: the order of the tables does not matter.
        deletes = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in emptied]  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute("; ".join(["BEGIN", ALLOWED, *deletes, "COMMIT"]))
        # A test that restores a database sets sequences back, so that ids of keys come again.
        known_keys.forget()
