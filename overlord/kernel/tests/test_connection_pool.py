"""Connections that the threads of a process share: their number is limited, and no broken one is kept."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import psycopg2.extensions
import pytest
from django.db import connection as ours
from django.db import connections
from django.db.utils import OperationalError

from overlord.kernel import connection_pool, db
from overlord.kernel.connection_pool import ConnectionPool
from overlord.kernel.postgresql import base as postgresql

MOST = 3


def connect() -> psycopg2.extensions.connection:
    params = ours.get_connection_params()
    return psycopg2.connect(**{**params, "cursor_factory": None})


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    made = ConnectionPool(most=MOST, seconds=0.0)
    yield made
    made.close_idle()


@pytest.mark.django_db
class TestPool:
    def test_a_connection_that_was_given_back_is_taken_again(self, pool: ConnectionPool) -> None:
        first = pool.take(connect)
        pool.give_back(first)
        assert pool.take(connect) is first
        pool.give_back(first)

    def test_a_connection_that_is_idle_for_a_while_is_closed(
        self, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = pool.take(connect), pool.take(connect)
        pool.give_back(first)
        assert not first.closed
        monkeypatch.setattr(connection_pool, "KEPT_SECONDS", 0.0)
        pool.give_back(second)
        assert first.closed
        assert not second.closed

    def test_a_thread_without_a_free_connection_waits_and_gives_up(self, pool: ConnectionPool) -> None:
        taken = [pool.take(connect) for _ in range(MOST)]
        with pytest.raises(psycopg2.OperationalError, match="became free"):
            pool.take(connect)
        for each in taken:
            pool.give_back(each)
        pool.give_back(pool.take(connect))

    def test_a_waiting_thread_gets_the_next_connection(self) -> None:
        pool = ConnectionPool(most=1, seconds=60.0)
        first = pool.take(connect)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(pool.take, connect)
            pool.give_back(first)
            assert waiting.result(timeout=60) is first
        pool.give_back(first)
        pool.close_idle()

    @pytest.mark.parametrize("how", ["broken", "closed", "in a transaction"])
    def test_a_connection_that_cannot_be_reset_is_closed_and_the_idle_ones_with_it(
        self, pool: ConnectionPool, how: str
    ) -> None:
        bad, idle = pool.take(connect), pool.take(connect)
        pool.give_back(idle)
        if how == "closed":
            bad.close()
        if how == "in a transaction":
            bad.cursor().execute("SELECT 1")
        pool.give_back(bad, broken=how == "broken")
        assert bad.closed
        assert idle.closed

    def test_a_failed_connection_takes_no_place(self, pool: ConnectionPool) -> None:
        def fail() -> psycopg2.extensions.connection:
            raise psycopg2.OperationalError("away")

        for _ in range(MOST + 1):
            with pytest.raises(psycopg2.OperationalError, match="away"):
                pool.take(fail)


@pytest.mark.django_db(transaction=True)
class TestThreads:
    """Django's own connections, shared by threads."""

    @pytest.fixture(autouse=True)
    def _shared(self) -> Iterator[None]:
        connections.close_all()
        postgresql.share(most=2, seconds=60.0)
        yield
        connections.close_all()
        postgresql.share_no_more()

    def test_many_threads_have_no_more_connections_than_they_share(self) -> None:
        barrier = threading.Barrier(20)

        def work(_nth: int) -> int:
            with db.transaction():
                [row] = db.rows("SELECT pg_backend_pid() AS pid")
            db.connection_release()
            barrier.wait(60)  # all threads have had one, and none has it now
            return int(row["pid"])

        with ThreadPoolExecutor(20) as threads:
            assert len(set(threads.map(work, range(20)))) <= 2

    def test_a_connection_in_a_transaction_is_not_given_back(self) -> None:
        with db.transaction():
            [before] = db.rows("SELECT pg_backend_pid() AS pid, pg_current_xact_id() AS xid")
            db.connection_release()
            assert db.rows("SELECT pg_backend_pid() AS pid, pg_current_xact_id() AS xid") == [before]

    def test_a_connection_that_its_server_ended_is_not_given_to_another(self) -> None:
        with pytest.raises(OperationalError):
            db.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        db.connection_release()
        assert db.rows("SELECT 1 AS one") == [{"one": 1}]
