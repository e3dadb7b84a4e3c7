"""Without a synchronous standby, no answer and no repeated answer acknowledges anything, but pages answer.

The tests' own PostgreSQL waits for a standby that does not exist. `commit_watch` ends each wait soon.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extensions
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout.models import Payment, Receipt
from checkout.tests.paying import PAYMENTS, charges, heal, pay, work
from overlord.accounts.models import User
from overlord.kernel import commit_watch, database_check, db
from overlord.kernel.postgresql import base
from overlord.kernel.postgresql.standby import CommitUnknown, Standby, standby
from tests.clients import api_of, permit
from tests.system import eventually
from tickets.admission.models import Scan
from tickets.admission.permissions import Permission
from tickets.admission.tests.admitting import paid
from tickets.admission.tests.doors import SCANS, codes_of
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import RESERVATIONS, reserve

pytestmark = pytest.mark.django_db(transaction=True)

KEY = {"Idempotency-Key": "the same"}


@pytest.fixture
def outside(transactional_db: None) -> Iterator[psycopg2.extensions.connection]:
    """Return a connection that waits for no standby."""
    found = psycopg2.connect(os.environ["DATABASE_URL"], options="-c synchronous_commit=local")
    found.autocommit = True
    with closing(found):
        yield found


def ask(outside: psycopg2.extensions.connection, statement: str) -> list[Any]:
    with outside.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_watch, "LONG_SECONDS", 0.05)
    monkeypatch.setattr(commit_watch, "TICK_SECONDS", 0.02)


@pytest.fixture
def hopeful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each commit be tried, even if the one before waited in vain."""
    monkeypatch.setattr(Standby, "missed", lambda _self: None)


class Server:
    """The tests' PostgreSQL, with or without its standby."""

    def __init__(self, outside: psycopg2.extensions.connection) -> None:
        self._outside = outside

    def lose_standby(self) -> None:
        ask(self._outside, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        ask(self._outside, "SELECT pg_reload_conf()")
        eventually(self._waits)

    def find_standby(self) -> None:
        ask(self._outside, "ALTER SYSTEM RESET synchronous_standby_names")
        ask(self._outside, "SELECT pg_reload_conf()")
        eventually(lambda: not self._waits())
        standby._retry_at = None

    def _waits(self) -> bool:
        try:
            connection.close()
            db.commits_await()
        except CommitUnknown:
            return True
        return False


@pytest.fixture
def server(outside: psycopg2.extensions.connection) -> Iterator[Server]:
    found = Server(outside)
    yield found
    found.find_standby()


@pytest.fixture
def held(api: APIClient, ticket_type: TicketType) -> Reservation:
    return Reservation.objects.get(pk=reserve(api, ticket_type, 2).json()["id"])


@pytest.fixture
def opened(api: APIClient, held: Reservation) -> Payment:
    made = api.post(PAYMENTS, {"reservation_id": held.pk}, format="json").json()
    return Payment.objects.get(pk=made["id"])


@contextmanager
def without(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> Iterator[None]:
    """Take a guard away."""
    with monkeypatch.context() as patch:
        patch.setattr(where, name, lambda *_: None)
        yield


def is_unknown(answer: Any) -> bool:
    """Return whether an answer says that the outcome is unknown, and when to repeat the request."""
    return answer.status_code == 503 and answer.json()["code"] == "busy" and "Retry-After" in answer.headers


@pytest.mark.usefixtures("hopeful")
class TestRequests:
    def test_a_claim_and_its_repeats_are_unknown_and_it_is_made_once(
        self, api: APIClient, ticket_type: TicketType, server: Server
    ) -> None:
        server.lose_standby()
        for _ in range(2):
            assert is_unknown(reserve(api, ticket_type, 2, **KEY))
        [made] = Reservation.objects.all()  # it exists on the primary, and a fail-over would lose it

        server.find_standby()
        answer = reserve(api, ticket_type, 2, **KEY)
        assert (answer.status_code, answer.json()["id"]) == (201, made.pk)
        assert answer.headers["Idempotency-Replayed"] == "true"

    def test_control_without_reading_the_warning_a_claim_is_acknowledged(
        self, api: APIClient, ticket_type: TicketType, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.lose_standby()
        with without(monkeypatch, base.DatabaseWrapper, "commit_verify"):
            assert reserve(api, ticket_type, 2, **KEY).status_code == 201

    def test_control_a_repeat_that_does_not_await_commits_is_acknowledged(
        self, api: APIClient, ticket_type: TicketType, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.lose_standby()
        assert is_unknown(reserve(api, ticket_type, 2, **KEY))
        with without(monkeypatch, db, "commits_await"):
            assert reserve(api, ticket_type, 2, **KEY).status_code == 201

    def test_an_order_of_several_types_is_unknown_and_so_is_its_repeat(
        self, api: APIClient, ticket_type: TicketType, ticket_type_make: Any, server: Server
    ) -> None:
        other = ticket_type_make(event=ticket_type.event)
        items = [{"ticket_type": each.pk, "amount": 1} for each in (ticket_type, other)]
        server.lose_standby()
        for _ in range(2):
            answer = api.post(f"{RESERVATIONS}batch/", {"items": items}, format="json", headers=KEY)
            assert is_unknown(answer)
        assert Reservation.objects.count() == 2

    @pytest.mark.parametrize(
        "what",
        [
            lambda api, held: api.patch(f"{RESERVATIONS}{held.pk}/", {"amount": 1}, format="json"),
            lambda api, held: api.post(f"{RESERVATIONS}{held.pk}/extend/"),
            lambda api, held: api.post(PAYMENTS, {"reservation_id": held.pk}, format="json"),
            lambda api, held: api.delete(f"{RESERVATIONS}{held.pk}/"),
        ],
        ids=["change", "extend", "open a payment", "release"],
    )
    def test_each_change_of_an_order_is_unknown(
        self, what: Callable[..., Any], api: APIClient, held: Reservation, server: Server
    ) -> None:
        server.lose_standby()
        assert is_unknown(what(api, held))

    def test_a_payment_and_the_repeated_opening_of_it_are_unknown(
        self, api: APIClient, opened: Payment, server: Server
    ) -> None:
        server.lose_standby()
        assert is_unknown(api.post(PAYMENTS, {"reservation_id": opened.reservation_id}, format="json"))
        assert is_unknown(pay(api, opened))

    def test_a_scan_and_its_repeat_are_unknown(
        self, buyer: User, user_make: Callable[..., User], ticket_type: TicketType, server: Server
    ) -> None:
        door = api_of(permit(user_make(), Permission.USE_DOOR))
        [code] = codes_of(paid(buyer, ticket_type, 1))
        scan = {"scan_id": str(uuid4()), "gate": "North", "code": code}
        server.lose_standby()
        for _ in range(2):
            assert is_unknown(door.post(SCANS, scan, format="json"))
        assert Scan.objects.count() == 1

        server.find_standby()
        assert door.post(SCANS, scan, format="json").json()["result"] == "admitted"

    def test_a_log_in_by_api_and_by_page_is_unknown(self, buyer: User, server: Server) -> None:
        names = {"username": buyer.username, "password": "correct horse"}
        server.lose_standby()
        assert is_unknown(APIClient().post("/api-auth/login/", names, format="json"))
        page = Client().post("/login/", names)
        assert (page.status_code, page.headers["Retry-After"]) == (503, "1")


@pytest.mark.usefixtures("hopeful")
class TestWorkers:
    def test_a_settlement_that_is_unknown_is_repeated_and_charged_once(
        self, api: APIClient, opened: Payment, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pay(api, opened)
        announced: list[Any] = []
        before = 0
        with monkeypatch.context() as patch:
            patch.setattr(db, "_call", announced.append)
            settle = db.transaction
            settled: list[None] = []

            @contextmanager
            def transaction() -> Iterator[None]:
                nonlocal before
                settled.append(None)
                before = len(announced)
                server.lose_standby()
                with settle():
                    yield

            patch.setattr(db, "transaction", transaction)
            with pytest.raises(CommitUnknown):
                work(opened)
        assert len(settled) == 1
        assert len(announced) == before

        server.find_standby()
        heal()
        opened.refresh_from_db()
        assert opened.status == "SUCCESS"
        assert charges(opened) == ["succeeded"]
        assert Receipt.objects.filter(payment=opened).count() == 1


class TestWaiting:
    def test_after_one_commit_has_waited_in_vain_others_fail_at_once_and_do_nothing(
        self, api: APIClient, ticket_type: TicketType, server: Server
    ) -> None:
        server.lose_standby()
        standby._retry_at = float("inf")
        assert is_unknown(reserve(api, ticket_type, 2, **KEY))
        assert not Reservation.objects.exists()

    def test_readyz_says_so_until_a_probe_reaches_it(self, server: Server) -> None:
        def missing() -> list[str]:
            found: list[str] = Client().get("/readyz").json()["missing"]
            return found

        server.lose_standby()
        standby._retry_at = 0.0  # the time to probe has come
        assert "standby" in missing()
        server.find_standby()
        standby._retry_at = 0.0
        assert "standby" not in missing()
        assert not standby.is_away

    def test_pages_answer_while_commits_wait(
        self, api: APIClient, held: Reservation, server: Server, outside: psycopg2.extensions.connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        server.lose_standby()
        monkeypatch.setattr(commit_watch, "LONG_SECONDS", 3600.0)
        waiting = psycopg2.connect(
            os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{connection.settings_dict['NAME']}"
        )
        waiting.autocommit = True

        def wait() -> None:
            with waiting.cursor() as cursor:
                cursor.execute("UPDATE tickets_inventory SET held = held")

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            eventually(lambda: ask(outside, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
            event = held.ticket_type.event_id
            for path in ("/livez/", "/readyz/self", "/", f"/events/{event}/", f"/event/events/{event}/"):
                assert Client().get(path).status_code == 200, path
            assert api.get(RESERVATIONS).status_code == 200
        finally:
            server.find_standby()
            thread.join(timeout=60)
            waiting.close()

    def test_only_waits_for_a_standby_are_ended_but_not_those_of_a_migration(
        self, server: Server, outside: psycopg2.extensions.connection
    ) -> None:
        server.lose_standby()
        url = os.environ["DATABASE_URL"]
        statements = {
            "asleep": "SELECT pg_sleep(0.3)",
            commit_watch.PATIENT_NAME: "SELECT pg_logical_emit_message(true, 'test', '')",
            "ours": "SELECT pg_logical_emit_message(true, 'test', '')",
        }
        sessions = {name: psycopg2.connect(url, application_name=name) for name in statements}
        ended: dict[str, list[str]] = {}

        def run(name: str) -> None:
            sessions[name].autocommit = True
            with sessions[name].cursor() as cursor:
                cursor.execute(statements[name])
            ended[name] = sessions[name].notices

        threads = [threading.Thread(target=run, args=[name]) for name in statements]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: "ours" in ended or commit_watch.cancel_long(outside) < 0)
            eventually(lambda: "asleep" in ended)
            assert "WARNING" in ended["ours"][0]
            assert ended["asleep"] == []
            assert commit_watch.PATIENT_NAME not in ended
        finally:
            server.find_standby()
            for thread in threads:
                thread.join(timeout=60)
            for session in sessions.values():
                session.close()


def test_a_role_without_warnings_stops_the_start(outside: psycopg2.extensions.connection) -> None:
    ask(outside, "ALTER ROLE CURRENT_USER SET client_min_messages = error")
    try:
        assert database_check.NO_WARNINGS in database_check.faults()
    finally:
        ask(outside, "ALTER ROLE CURRENT_USER RESET client_min_messages")


@pytest.mark.usefixtures("hopeful")
def test_a_commit_that_need_not_be_awaited_waits_for_no_standby(server: Server, user_make: Any) -> None:
    user: User = user_make()
    server.lose_standby()
    with db.transaction(awaited=False):
        User.objects.filter(pk=user.pk).update(date_joined=timezone.now() - timedelta(days=1))
    with pytest.raises(CommitUnknown), db.transaction():
        User.objects.filter(pk=user.pk).update(date_joined=timezone.now())
