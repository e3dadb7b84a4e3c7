"""Transactions, and the database's constraint errors as domain errors."""

from functools import partial

import pytest
from django.db import IntegrityError, InterfaceError, connection

from overlord.accounts.models import User
from overlord.kernel import db, listening
from overlord.kernel.errors import Conflict
from tests.threads import together
from tickets.models import Event, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


def names() -> set[str]:
    return set(User.objects.values_list("username", flat=True))


def fail(_why: str) -> None:
    raise ZeroDivisionError


class Failing:
    def __call__(self) -> None:
        raise ZeroDivisionError


class TestTransaction:
    def test_a_transaction_commits_at_the_end_and_not_after_an_error(self) -> None:
        with db.transaction():
            User.objects.create(username="kept", email="kept@example.org")
        with pytest.raises(ZeroDivisionError), db.transaction():
            User.objects.create(username="undone", email="undone@example.org")
            raise ZeroDivisionError
        assert names() == {"kept"}

    def test_a_transaction_refuses_to_nest(self) -> None:
        with pytest.raises(RuntimeError), db.transaction(), db.transaction():
            pass

    def test_a_step_needs_a_transaction(self) -> None:
        with pytest.raises(db.TransactionError):
            db.transaction_required()
        with db.transaction():
            db.transaction_required()
            with pytest.raises(db.TransactionError):
                db.autocommit_required()
        db.autocommit_required()

    def test_a_savepoint_rolls_back_to_itself(self) -> None:
        with db.transaction():
            User.objects.create(username="kept", email="kept@example.org")
            with pytest.raises(ZeroDivisionError), db.savepoint():
                User.objects.create(username="undone", email="undone@example.org")
                raise ZeroDivisionError
        assert names() == {"kept"}
        with pytest.raises(db.TransactionError), db.savepoint():
            pass


class TestAfterCommit:
    def test_a_callback_runs_after_the_commit_only(self) -> None:
        called: list[str] = []
        with db.transaction():
            db.after_commit(lambda: called.append("committed"))
            assert called == []
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.after_commit(lambda: called.append("rolled back"))
            raise ZeroDivisionError
        assert called == ["committed"]

    def test_a_failing_callback_is_logged_by_name_and_stops_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        called: list[str] = []
        with db.transaction():
            db.after_commit(partial(partial(fail), "first"))
            db.after_commit(Failing())
            db.after_commit(lambda: called.append("still"))
        assert called == ["still"]
        assert [record.getMessage().split()[0] for record in caplog.records] == [
            f"{__name__}.fail",
            f"{__name__}.Failing",
        ]
        assert all(record.exc_info for record in caplog.records)

    def test_a_callback_is_refused_outside_a_transaction(self) -> None:
        with pytest.raises(db.TransactionError):
            db.after_commit(lambda: None)


class TestStatement:
    def test_a_statement_has_committed_when_it_returns(self) -> None:
        insert = "INSERT INTO django_session VALUES (%s, '', now()) RETURNING session_key"
        assert db.statement(insert, ["key"]) == [{"session_key": "key"}]

        [seen] = together(lambda: db.rows("SELECT count(*) AS n FROM django_session"))
        assert seen == [{"n": 1}]

    def test_a_statement_is_refused_inside_a_transaction(self) -> None:
        with pytest.raises(db.TransactionError), db.transaction():
            db.statement("SELECT 1", [])


class TestErrorsLogged:
    def test_an_error_is_logged_with_its_name_and_the_others_go_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        done = []
        for number in range(3):
            with db.errors_logged("dividing by", number), db.transaction():
                done.append(6 / number)
        assert done == [6, 3]
        assert "Failed in dividing by 0." in caplog.text
        assert "ZeroDivisionError" in caplog.text

    def test_a_lost_connection_ends_the_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connection.ensure_connection()
        try:
            with pytest.raises(InterfaceError), db.errors_logged("losing server", 1):
                monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
                monkeypatch.setitem(connection.settings_dict, "PORT", "1")
                db.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        finally:
            monkeypatch.undo()
            connection.close()


class TestInsert:
    def test_insert_writes_the_same_as_save_and_gives_the_key(self, ticket_type: TicketType) -> None:
        made = TicketType(event=ticket_type.event, name="Balcony", price_minor=700)
        db.insert(made)
        found = TicketType.objects.get(pk=made.pk)
        ignored = {"_state"}
        assert {n: v for n, v in vars(found).items() if n not in ignored | {"event"}} == {
            n: v for n, v in vars(made).items() if n not in ignored and not n.startswith("_")
        }
        made.name = "Gallery"
        made.save()  # the row is known to exist
        assert TicketType.objects.filter(event=ticket_type.event).count() == 2


class TestUpdate:
    def test_update_changes_and_counts_the_rows_with_the_expected_values(
        self, ticket_type: TicketType
    ) -> None:
        event = ticket_type.event
        changed = db.update(Event, {"name": "New", "ends_at": None}, id=event.pk, status=("draft", "on_sale"))
        assert changed == 1
        assert db.update(Event, {"name": "Newer"}, id=event.pk, name="Old") == 0
        assert db.update(Event, {"name": "Newer"}, id=event.pk, status=("draft",)) == 0
        found = Event.objects.get(pk=event.pk)
        assert (found.name, found.version) == ("New", event.version + 1)


class TestConstraints:
    def test_a_violation_becomes_the_error_of_its_name(self) -> None:
        User.objects.create(username="ada", email="ada@example.org")
        taken = Conflict("taken")

        with (
            pytest.raises(Conflict, match="taken"),
            db.constraint_errors({"user_unique_email": taken}),
            db.transaction(),
        ):
            User.objects.create(username="other", email="ADA@example.org")

    def test_an_unforeseen_violation_is_raised_unchanged(self) -> None:
        User.objects.create(username="ada", email="ada@example.org")
        with pytest.raises(IntegrityError) as raised, db.constraint_errors({}), db.transaction():
            User.objects.create(username="ADA", email="other@example.org")
        assert db.violated(raised.value) == "user_unique_username"


def test_an_advisory_lock_belongs_to_one_connection() -> None:
    with db.advisory_lock("test") as lock:
        assert lock.is_mine()

        def elsewhere() -> bool:
            with db.advisory_lock("test") as other:
                return other.is_mine()

        assert together(elsewhere) == [False]
    assert together(elsewhere) == [True]


def test_an_advisory_lock_whose_connection_ended_is_taken_anew() -> None:
    with db.advisory_lock("test") as lock:
        assert lock.is_mine()
        [row] = db.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'locks'")
        db.rows("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
        with db.advisory_lock("test") as other:
            assert other.is_mine(), "it was free"
            assert not lock.is_mine()
        assert lock.is_mine()


@pytest.mark.parametrize("direct", [True, False])
def test_the_server_notices_soon_that_our_machine_has_vanished(direct: bool) -> None:
    """Check PostgreSQL's settings: by default it keeps the locks of a vanished machine for two hours."""
    session = listening.connect(name="test", direct=direct)
    with session.cursor() as cursor:
        cursor.execute("SELECT name, setting::int FROM pg_settings WHERE name ~ '^tcp_'")
        found = dict(cursor.fetchall())
    session.close()

    probing = found["tcp_keepalives_interval"] * found["tcp_keepalives_count"]
    assert 0 < found["tcp_keepalives_idle"] + probing <= 10
    assert 0 < found["tcp_user_timeout"] <= 10_000


def test_no_cursor_lives_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunked_cursor() -> None:
        raise AssertionError("a server-side cursor")

    User.objects.create(username="ada", email="ada@example.org")
    monkeypatch.setattr(connection, "chunked_cursor", chunked_cursor)
    assert [user.username for user in User.objects.iterator()] == ["ada"]
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", False)
    with pytest.raises(AssertionError, match="server-side"):
        list(User.objects.iterator())


def test_waiting_for_a_lock_ends_after_its_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("3s",)
