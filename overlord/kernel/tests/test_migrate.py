"""`migrate` beside sessions that use the tables."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections, models

from overlord.kernel import db, postgres_wait
from overlord.kernel.commit_watch import PATIENT_NAME
from overlord.kernel.management.commands import migrate
from tickets.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

APP = "compose"  # an app without migrations of its own


@pytest.fixture(autouse=True, params=["trial_migrations"])
def trial(settings: Any, request: Any) -> Iterator[None]:
    """Make a table, and a migration that changes it."""
    settings.MIGRATION_MODULES = {APP: f"overlord.kernel.tests.{request.param}"}
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
    """Read the table in a transaction that stays open and keeps its snapshot, as that of a backup."""
    other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    other.set_session(isolation_level="REPEATABLE READ")
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
        cursor.execute(migrate.ALONE.replace("_try_advisory_lock(", "_advisory_xact_lock("))
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


# Indexes -------------------------------------------------------------------------------------------------
with_index = pytest.mark.parametrize("trial", ["trial_indexes"], indirect=True)
INDEX = "CREATE INDEX CONCURRENTLY migrate_trial_id ON migrate_trial (id)"
VALID = "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'migrate_trial_id'::regclass"
# The sessions that have been waiting to make an index for longer than a migration waits for the lock of a table.
WAITS = """
SELECT pid FROM pg_stat_activity
 WHERE starts_with(query, 'CREATE INDEX CONCURRENTLY') AND wait_event_type = 'Lock'
   AND query_start < clock_timestamp() - interval '500 ms'
"""


@with_index
def test_an_index_waits_for_a_reader_for_as_long_as_it_takes(reader: psycopg2.extensions.connection) -> None:
    done = threading.Event()

    def end_reader() -> None:
        try:
            while not (db.rows(WAITS) or done.is_set()):
                done.wait(0.01)
            reader.rollback()
        finally:
            connections.close_all()

    thread = threading.Thread(target=end_reader)
    thread.start()
    try:
        call_command("migrate", APP, verbosity=0)
    finally:
        done.set()
        thread.join()
    assert db.rows(VALID) == [{"valid": True}]


@with_index
def test_an_index_that_was_interrupted_is_made_again(reader: psycopg2.extensions.connection) -> None:
    db.rows("SET lock_timeout = '50ms'")
    with pytest.raises(OperationalError):
        db.rows(INDEX)
    db.rows("RESET lock_timeout")
    assert db.rows(VALID) == [{"valid": False}]
    reader.rollback()

    call_command("migrate", APP, verbosity=0)
    assert db.rows(VALID) == [{"valid": True}]


def test_a_migration_can_repeat_the_index_before_the_one_that_was_interrupted() -> None:
    ours: Any = connection
    by_date = models.Index(fields=["date"], name="trial_by_date")
    for _ in range(2):
        with ours.schema_editor(atomic=False) as editor:
            editor.add_index(Event, by_date, concurrently=True)
    with ours.schema_editor(atomic=False) as editor:
        editor.remove_index(Event, by_date, concurrently=True)


def test_one_that_waits_for_another_does_not_keep_it_from_making_an_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "SESSION", migrate.SESSION.replace("'50ms'", "'60s'"))
    monkeypatch.setattr(migrate, "ATTEMPTS", 10**9)
    first = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    first.autocommit = True
    said = StringIO()
    waits = "SELECT FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"

    def second() -> None:
        try:
            call_command("migrate", APP, verbosity=0, stdout=said)
        finally:
            connections.close_all()

    thread = threading.Thread(target=second)
    with closing(first), first.cursor() as cursor:
        cursor.execute(migrate.ALONE)
        thread.start()
        while not db.rows(waits, [PATIENT_NAME]):
            time.sleep(0.01)
        cursor.execute(INDEX)
    thread.join()
    assert "deadlock" not in said.getvalue()
    assert db.rows(VALID) == [{"valid": True}]
    assert columns() == ["id", "added"]
