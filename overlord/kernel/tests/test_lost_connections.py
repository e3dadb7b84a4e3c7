"""A connection that the server has closed is replaced before it is used.

And while a server does not answer, only one thread waits for it.
"""

import threading
from collections.abc import Iterator

import psycopg2
import psycopg2.extensions
import pytest
from django.core.signals import request_started
from django.db import InternalError, OperationalError, connection

from overlord.kernel import connection_pool, db
from overlord.kernel.connection_pool import ConnectionPool
from overlord.kernel.postgresql import base as postgresql
from overlord.kernel.postgresql.reachability import RETRY_SECONDS, SLOW_SECONDS, Reachability

pytestmark = pytest.mark.django_db(transaction=True)

# PostgreSQL's error when it needs a transaction's number and has become a standby.
BECOMES_STANDBY = """
DO $$ BEGIN RAISE 'cannot assign TransactionIds during recovery' USING ERRCODE = 'internal_error'; END $$
"""


def terminate(pid: int) -> None:
    """End a backend from another connection, like a restart of the server."""
    other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


def backend_pid() -> int:
    return int(db.rows("SELECT pg_backend_pid() AS pid")[0]["pid"])


def begin_request() -> None:
    """Do what Django does when a request begins."""
    request_started.send(sender=None)


@pytest.fixture(autouse=True)
def another_connection_afterwards() -> Iterator[None]:
    yield
    connection.close()


def test_no_request_gets_a_connection_that_the_server_has_closed() -> None:
    for _ in range(3):
        before = backend_pid()
        terminate(before)
        begin_request()
        assert backend_pid() != before


def test_control_without_the_check_a_request_gets_a_closed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "is_lost", lambda _connection: False)
    terminate(backend_pid())
    begin_request()
    with pytest.raises(OperationalError):
        db.rows("SELECT 1")


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_server_that_became_a_standby_is_left(in_transaction: bool) -> None:
    write = "DELETE FROM accounts_user WHERE false"
    before = backend_pid()
    db.rows("SET default_transaction_read_only = on")
    with pytest.raises(OperationalError, match="takes no writes"):
        if in_transaction:
            with db.transaction():
                db.rows(write)
        else:
            db.statement(write, ())
    begin_request()
    assert backend_pid() != before
    db.statement(write, ())


def test_a_server_that_becomes_a_standby_during_a_statement_is_left() -> None:
    before = backend_pid()
    with pytest.raises(OperationalError, match="takes no writes"):
        db.rows(BECOMES_STANDBY)
    begin_request()
    assert backend_pid() != before


def test_other_internal_errors_are_raised_unchanged() -> None:
    before = backend_pid()
    with pytest.raises(InternalError):
        db.rows(BECOMES_STANDBY.replace("during recovery", "by mistake"))
    begin_request()
    assert backend_pid() == before


def test_a_connection_that_works_is_kept() -> None:
    before = backend_pid()
    begin_request()
    assert backend_pid() == before


def test_a_pool_gives_no_connection_that_the_server_closed() -> None:
    params = {**connection.get_connection_params(), "cursor_factory": None}
    pool = ConnectionPool(most=2, seconds=0.0)
    first = pool.take(lambda: psycopg2.connect(**params))
    pool.give_back(first)
    terminate(first.info.backend_pid)

    second = pool.take(lambda: psycopg2.connect(**params))

    assert not connection_pool.is_lost(second)
    assert second is not first
    second.close()


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class TestReachability:
    def test_after_an_attempt_that_was_not_answered_others_fail_at_once(self) -> None:
        clock = Clock()
        reachability = Reachability(clock=clock)
        attempts = []

        def time_out() -> None:
            attempts.append(clock.now)
            clock.now += SLOW_SECONDS
            raise psycopg2.OperationalError

        for _ in range(3):
            with pytest.raises(psycopg2.OperationalError):
                reachability.attempt(time_out)
        assert len(attempts) == 1
        clock.now += RETRY_SECONDS
        assert reachability.attempt(lambda: "connected") == "connected"
        assert reachability.attempt(lambda: "connected") == "connected"

    def test_a_refused_connection_delays_no_other_attempt(self) -> None:
        reachability = Reachability(clock=Clock())

        def refuse() -> None:
            raise psycopg2.OperationalError("connection refused")

        with pytest.raises(psycopg2.OperationalError, match="refused"):
            reachability.attempt(refuse)
        assert reachability.attempt(lambda: "connected") == "connected"

    def test_while_one_thread_tries_again_the_others_do_not(self) -> None:
        clock = Clock()
        reachability = Reachability(clock=clock)
        reachability._retry_at = clock.now
        entered, leave = threading.Event(), threading.Event()

        def connect() -> str:
            entered.set()
            assert leave.wait(timeout=30)
            return "connected"

        thread = threading.Thread(target=reachability.attempt, args=[connect])
        thread.start()
        assert entered.wait(timeout=30)
        with pytest.raises(psycopg2.OperationalError, match="a moment ago"):
            reachability.attempt(lambda: "connected")
        leave.set()
        thread.join(timeout=30)
        assert reachability.attempt(lambda: "connected") == "connected"


def test_the_kernel_gives_up_a_connection_whose_link_was_cut() -> None:
    db.rows("SELECT 1")
    parameters = connection.connection.get_dsn_parameters()
    assert parameters["tcp_user_timeout"] == "5000"
    assert parameters["keepalives_idle"] == "4"
