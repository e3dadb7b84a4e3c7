"""A frozen PostgreSQL delays nobody for longer than the stated limit."""

import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import psycopg2
import pytest
from django.db import OperationalError, connection, transaction
from psycopg2 import extensions

from overlord.embedded.processes import allow_open_files
from overlord.kernel import commit_watch, db, postgres_wait

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a PostgreSQL process, and shorten the waits meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        with mock.patch.multiple(postgres_wait, ANSWER_SECONDS=0.3, SUSPECT_SECONDS=0.1):
            yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(autouse=True)
def unsuspicious(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_wait, "_suspect", False)


def backend_pid() -> int:
    return int(db.rows("SELECT pg_backend_pid() AS pid")[0]["pid"])


def test_every_wait_of_a_process_is_bounded() -> None:
    assert extensions.get_wait_callback() is postgres_wait.wait


def test_a_statement_that_is_not_answered_fails_and_the_next_connection_works() -> None:
    with frozen(backend_pid()), pytest.raises(OperationalError, match="did not answer"):
        db.rows("SELECT 1")
    connection.close()  # as at the end of a request
    assert db.rows("SELECT 1 AS one") == [{"one": 1}]


def test_a_commit_that_is_not_answered_fails() -> None:
    with ExitStack() as freeze, pytest.raises(OperationalError), transaction.atomic():
        freeze.enter_context(frozen(backend_pid()))
    connection.close()


def test_after_a_wait_in_vain_the_next_waits_are_shorter_until_an_answer_comes() -> None:
    with frozen(backend_pid()), pytest.raises(OperationalError):
        db.rows("SELECT 1")
    connection.close()
    assert postgres_wait._suspect
    with frozen(backend_pid()):  # the connection got an answer, which ended the suspicion
        assert not postgres_wait._suspect
        with pytest.raises(OperationalError):
            db.rows("SELECT 1")
    connection.close()


def test_a_connection_without_a_greeting_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(postgres_wait, "CONNECT_SECONDS", 0.3)
        with pytest.raises(psycopg2.OperationalError, match="did not answer"):
            psycopg2.connect(host="127.0.0.1", port=port, user="nobody", dbname="nothing")


@pytest.mark.parametrize(("name", "is_watched"), [(None, True), ("postgres", False)])
def test_only_a_long_wait_in_our_own_database_is_looked_at(
    name: str | None, is_watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open no session of the watch without need: it would prevent dropping or renaming the database."""
    monkeypatch.setattr(commit_watch, "LONG_SECONDS", 0.05)
    commit_watch.watch.stop()
    ours: Any = connection
    params = {**ours.get_connection_params(), "cursor_factory": None}
    session = psycopg2.connect(**{**params, "dbname": name or params["dbname"]})
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.3)")
    finally:
        session.close()

    names = [thread.name for thread in threading.enumerate()]
    assert (commit_watch.NAME in names) == is_watched


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Open 1,100 files, which are more than the shell of an ordinary user allows."""
    connection.close()  # so that no lower number becomes free
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_open_files()
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1_100):
            opened.callback(os.close, os.dup(0))
        yield


@pytest.mark.usefixtures("many_open_files")
def test_many_open_files_do_not_matter() -> None:
    """Use a file number above 1,024, at which `select` would fail: the live process has many thousands."""
    try:
        assert db.rows("SELECT pg_sleep(0.01) IS NULL AS slept") == [{"slept": False}]
        assert connection.connection.fileno() > 1_024
    finally:
        connection.close()
