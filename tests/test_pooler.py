"""Behind PgBouncer in transaction mode all works as without it, and a setup that fails silently stops the start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from checkout import services as checkout
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS
from overlord.accounts.models import ApiToken, User
from overlord.accounts.token_cache import TokenCache
from overlord.kernel import database_check, db, listening
from tests import pooler
from tests.clients import api_of, token_of
from tests.databases import disconnect
from tests.system import eventually
from tests.threads import together
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(pooler.BINARY is None, reason=pooler.REASON),
]

ROOT = Path(__file__).resolve().parents[1]
TIMEOUTS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


def server() -> dict[str, Any]:
    params: dict[str, Any] = connection.get_connection_params()
    return {
        "host": params.get("host", "127.0.0.1"),
        "port": params["port"],
        "user": params["user"],
        "password": params["password"],
    }


@pytest.fixture
def role(settings: Any) -> Iterator[None]:
    """Give our role the time-outs, as docs/operations.md says, and take them back."""
    user = connection.ops.quote_name(server()["user"])
    for name, value in settings.DATABASE_TIMEOUTS.items():
        db.rows(f"ALTER ROLE {user} SET {name} = {value}")
    yield
    for name in TIMEOUTS:
        db.rows(f"ALTER ROLE {user} RESET {name}")


@pytest.fixture
def port(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Start PgBouncer in front of PostgreSQL, set both addresses in this process, and return the pooler's port."""
    ours = connection.settings_dict
    direct = {name: ours[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "OPTIONS")}
    with pooler.pgbouncer(tmp_path, server=server()) as port:
        disconnect()
        settings.DATABASE_DIRECT = direct
        monkeypatch.setitem(ours, "PORT", port)
        without = {name: value for name, value in ours["OPTIONS"].items() if name != "options"}
        monkeypatch.setitem(ours, "OPTIONS", without)
        yield port
        disconnect()
        monkeypatch.undo()


@pytest.fixture
def nothing_direct(port: int, settings: Any) -> None:
    """Set the pooler's address as the direct address too."""
    settings.DATABASE_DIRECT = {}


@pytest.fixture
def cache() -> Iterator[TokenCache]:
    """Return a cache like that of another process."""
    cache = TokenCache()
    yield cache
    cache.close()


def log_out(key: str) -> None:
    assert Client().post("/api-auth/logout/", headers={"Authorization": f"Token {key}"}).status_code == 204


@pytest.mark.usefixtures("role", "port")
class TestAsWithoutIt:
    def test_the_check_of_the_setup_finds_no_fault(self) -> None:
        assert database_check.faults() == []

    def test_a_logged_out_token_is_refused_in_another_process(self, cache: TokenCache, buyer: User) -> None:
        key = token_of(buyer)
        token = ApiToken.hash_of(key)
        assert cache.principal_of(token) is not None
        assert cache._principals, "it is kept"
        log_out(key)
        assert eventually(lambda: cache.principal_of(token) is None)

    def test_a_lock_belongs_to_one_process(self) -> None:
        def elsewhere() -> bool:
            with db.advisory_lock("test") as other:
                return other.is_mine()

        with db.advisory_lock("test") as lock:
            assert lock.is_mine()
            assert together(elsewhere) == [False]
        assert together(elsewhere) == [True]

    def test_tickets_are_sold(self, buyer: User, ticket_type: TicketType) -> None:
        api = api_of(buyer)
        held = reserve(api, ticket_type, 2).json()
        made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
        assert api.post(f"{PAYMENTS}{made['id']}/pay/", {"token": "ok"}, format="json").status_code == 202
        checkout.payment_process(payment_id=made["id"])
        assert Payment.objects.get(pk=made["id"]).status == Payment.Status.SUCCESS

    def test_a_statement_that_takes_too_long_is_ended(self) -> None:
        with pytest.raises(OperationalError, match="lock timeout"), db.transaction():
            other = listening.connect(name="other", direct=True)
            try:
                other.autocommit = False
                other.cursor().execute("LOCK TABLE accounts_user")
                db.rows("SELECT 1 FROM accounts_user")
            finally:
                other.close()

    def test_a_migration_leaves_no_setting_in_a_session_of_the_pooler(self) -> None:
        call_command("migrate", "accounts", verbosity=0)
        [row] = db.rows("SHOW statement_timeout")
        assert row["statement_timeout"] == "15s"

    def test_control_by_the_poolers_address_a_migration_leaves_a_setting(self, settings: Any) -> None:
        settings.DATABASE_DIRECT = {}
        call_command("migrate", "accounts", verbosity=0)
        [row] = db.rows("SHOW statement_timeout")
        assert row["statement_timeout"] == "0"


class TestWhatWouldBreakSilently:
    def test_time_outs_that_are_not_in_force_are_named_with_what_to_run(self, port: int) -> None:
        [sentence] = database_check.faults()
        assert all(name in sentence for name in TIMEOUTS)
        try:
            db.rows(sentence.partition(": ")[2])
            pooler.reconnect(port, user=server()["user"])
            assert eventually(lambda: database_check.faults() == [])
        finally:
            user = connection.ops.quote_name(server()["user"])
            db.rows("; ".join(f"ALTER ROLE {user} RESET {name}" for name in TIMEOUTS))

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_a_lock_that_is_not_our_own_is_not_taken(self) -> None:
        with pytest.raises(OperationalError, match="belongs to a pooler"), db.advisory_lock("test") as lock:
            lock.is_mine()

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_control_without_that_check_two_processes_have_the_lock(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = db._row

        def row(session: Any, sql: str, *params: object) -> tuple[Any, ...]:
            found = really(session, sql, *params)
            return (session.info.backend_pid, *found[1:]) if len(found) == 2 else found

        monkeypatch.setattr(db, "_row", row)

        def elsewhere() -> bool:
            with db.advisory_lock("test") as other:
                return other.is_mine()

        with db.advisory_lock("test") as lock:
            assert lock.is_mine()
            assert together(elsewhere) == [True]

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_no_token_is_kept_where_no_notification_arrives(
        self, cache: TokenCache, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "PROOF_SECONDS", 0.2)
        key = token_of(buyer)
        token = ApiToken.hash_of(key)
        assert cache.principal_of(token) is not None
        assert not cache._principals
        log_out(key)
        assert cache.principal_of(token) is None

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_control_without_the_proof_a_logged_out_token_is_accepted(
        self, cache: TokenCache, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "_await", lambda *_: None)
        key = token_of(buyer)
        token = ApiToken.hash_of(key)
        assert cache.principal_of(token) is not None
        log_out(key)
        assert cache.principal_of(token) is not None

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_a_process_does_not_start_without_notifications(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listening, "PROOF_SECONDS", 0.2)
        with pytest.raises(SystemExit, match="No notification arrives"):
            database_check.start()

    @pytest.mark.usefixtures("role", "nothing_direct")
    def test_a_process_does_not_start_where_its_locks_are_not_its_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "_await", lambda *_: None)
        with pytest.raises(SystemExit, match="There a lock can end up in the session of another client"):
            database_check.start()

    @pytest.mark.usefixtures("port")
    def test_readyz_says_it_of_a_running_process_which_goes_on(self) -> None:
        try:
            assert database_check._check(decided=True)
            assert "database_setup" in Client().get("/readyz").json()["missing"]
            assert Client().get("/readyz/self").status_code == 200
        finally:
            database_check._found.clear()

    @pytest.mark.usefixtures("port")
    def test_a_process_that_first_had_to_wait_for_postgresql_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended: list[int] = []
        monkeypatch.setattr(os, "_exit", ended.append)
        try:
            database_check._check(decided=False)
        finally:
            database_check._found.clear()
        assert ended == [1]


def test_a_pooler_in_database_url_alone_stops_the_start(tmp_path: Path) -> None:
    there = server()
    with pooler.pgbouncer(tmp_path, server=there) as port:
        url = f"postgres://{there['user']}:x@127.0.0.1:{port}/{connection.settings_dict['NAME']}"
        env = {**os.environ, "DATABASE_URL": url}
        argv = [sys.executable, "-c", "import overlord.wsgi"]
        started = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert started.returncode == 1
    assert "Set DATABASE_DIRECT_URL too" in started.stderr, started.stderr
