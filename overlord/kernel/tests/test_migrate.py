"""`migrate` beside sessions that use the tables."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from overlord.kernel import db, postgres_wait
from overlord.kernel.management.commands import migrate

pytestmark = pytest.mark.django_db(transaction=True)

APP = "compose"  # an app without migrations of its own


@pytest.fixture(autouse=True)
def trial(settings: Any) -> Iterator[None]:
    """Make a table, and a migration that changes it."""
    settings.MIGRATION_MODULES = {APP: "overlord.kernel.tests.trial_migrations"}
    db.rows("CREATE TABLE migrate_trial (id int)")
    yield
    db.rows("DROP TABLE migrate_trial")
    db.rows("DELETE FROM django_migrations WHERE app = %s", [APP])


def columns() -> list[str]:
    found = db.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'migrate_trial'::regclass AND attnum > 0"
    )
    return [row["attname"] for row in found]


@pytest.fixture
def reader() -> Iterator[psycopg2.extensions.connection]:
    """Read the table in a transaction that stays open."""
    other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM migrate_trial")
    yield other
    other.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(migrate, "SESSION", migrate.SESSION.replace(f"'{migrate.LOCK_SECONDS}s'", "'50ms'"))


class Output:
    """The output of the command. The reader's transaction ends at its second line."""

    def __init__(self, reader: psycopg2.extensions.connection) -> None:
        self.said: list[str] = []
        self._reader = reader

    def write(self, text: str) -> None:
        self.said += [text] if "Trying again" in text else []
        if len(self.said) == 2:
            self._reader.rollback()

    def flush(self) -> None: ...


def test_migrate_waits_for_a_table_in_use_in_short_attempts(reader: psycopg2.extensions.connection) -> None:
    output: Any = Output(reader)
    call_command("migrate", APP, stdout=output)
    assert len(output.said) == 2
    assert columns() == ["id", "added"]


def test_migrate_gives_up_on_a_table_that_stays_in_use(
    reader: psycopg2.extensions.connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "ATTEMPTS", 2)
    with pytest.raises(CommandError, match="stayed in use"):
        call_command("migrate", APP, verbosity=0)
    reader.rollback()


def test_of_two_commands_one_migrates_and_the_other_waits(reader: psycopg2.extensions.connection) -> None:
    reader.rollback()
    with reader.cursor() as cursor:
        cursor.execute(migrate.ALONE.replace("_lock(", "_xact_lock("))
    output: Any = Output(reader)
    call_command("migrate", APP, stdout=output)
    assert len(output.said) == 2
    assert columns() == ["id", "added"]


def test_no_reader_waits_long_behind_a_migration(reader: psycopg2.extensions.connection) -> None:
    """Read the table meanwhile: the reader waits behind the migration, which soon gives up."""
    output: Any = Output(reader)
    found: list[Any] = []

    def read() -> None:
        other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM migrate_trial")
            found.append(cursor.fetchone())
        other.close()

    really = output.write

    def write(text: str) -> None:
        if not found and "Trying again" in text:
            thread = threading.Thread(target=read)
            thread.start()
            thread.join(timeout=30)
        really(text)

    output.write = write
    call_command("migrate", APP, stdout=output)
    assert len(found) == 1


def test_statements_of_a_migration_have_no_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_wait, "ANSWER_SECONDS", 0.05)
    with postgres_wait.patience():
        assert db.rows("SELECT pg_sleep(0.3) IS NULL AS slept") == [{"slept": False}]


def test_afterwards_the_connection_has_the_time_outs_of_the_application() -> None:
    call_command("migrate", APP, verbosity=0)
    assert db.rows("SHOW lock_timeout") == [{"lock_timeout": "3s"}]
    assert db.rows("SHOW statement_timeout") == [{"statement_timeout": "15s"}]
