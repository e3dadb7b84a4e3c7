"""The findings of `manage.py doctor` on a deployed system, and the remedies that it names."""

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from overlord.accounts.models import User
from overlord.embedded import ports
from overlord.findings import Finding
from overlord.kernel import database_check, redis_client
from overlord.kernel.queues import Queue
from stats import diagnosis
from tests import refusals, tls
from tickets.models import Inventory, TicketType
from tickets.tests.reserving import claim, end

pytestmark = pytest.mark.django_db(transaction=True)


def of_database() -> list[Finding]:
    return list(diagnosis._of_database(now=timezone.now()))


def wrong(findings: Any) -> list[str]:
    return [finding.text for finding in findings if not finding.good]


def test_a_healthy_database_has_no_findings(user_make: Callable[..., User], ticket_type: TicketType) -> None:
    claim(user_make().pk, ticket_type, 2)
    found = of_database()
    assert wrong(found) == []
    said = " ".join(finding.text for finding in found)
    for part in (
        "PostgreSQL 18",
        "this clock",
        "no standby follows",
        "time-outs",
        "all migrations",
        "connections",
    ):
        assert part in said
    assert "the counters of each ticket type agree with its reservations" in said


def test_a_counter_that_is_not_its_reservations_is_named(ticket_type: TicketType) -> None:
    Inventory.objects.filter(pk=ticket_type.pk).update(held=1)
    [sentence] = wrong(of_database())
    assert "not true: the counters" in sentence
    assert f"'ticket_type_id': {ticket_type.pk}" in sentence


def test_a_fault_that_stops_the_start_of_a_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diagnosis.settings.DATABASE_TIMEOUTS, "lock_timeout", 1)
    assert wrong(of_database()) == database_check.faults() != []


def test_a_migration_that_is_not_applied_is_named(settings: Any) -> None:
    settings.MIGRATION_MODULES = {"compose": "overlord.kernel.tests.trial_migrations"}
    assert "run manage.py migrate" in diagnosis._migrations().text


def test_a_due_hold_that_is_not_released_is_named(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    late = user_make()
    claim(late.pk, ticket_type, 1)
    end(late)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tickets_reservation SET expires_at = expires_at - interval '1 hour'")
    [sentence] = wrong(of_database())
    assert "waits longest for a sweep" in sentence
    assert "upkeep worker and beat" in sentence


def test_incidents_and_payments_in_doubt_are_named() -> None:
    figures = {"hold_late_seconds": 0, "payment_late_seconds": 31, "in_doubt": 2, "incidents": {"charged": 1}}
    late, doubtful, incidents = wrong(diagnosis._late(figures))
    assert "payments worker" in late
    assert "2 payments" in doubtful
    assert "1 incidents" in incidents


def test_a_folder_of_pictures_that_does_not_answer_is_named_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_folder: object) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "disk_usage", away)
    [sentence] = wrong(diagnosis._disk())
    assert "folder of the pictures does not answer" in sentence


def test_a_primary_that_waits_for_nobody_there_is_named() -> None:
    [sentence] = wrong(diagnosis._replication('ANY 1 ("*")'))
    assert "Start a standby" in sentence


@pytest.mark.parametrize(
    ("state", "sync_state", "lag", "says"),
    [
        ("streaming", "sync", 0.0, []),
        ("streaming", "async", 0.0, ["does not follow"]),
        ("catchup", "sync", 99.0, ["99.0 s behind", "does not follow"]),
        (None, None, 0.0, []),
    ],
)
def test_each_standby_is_shown(
    monkeypatch: pytest.MonkeyPatch, state: str | None, sync_state: str | None, lag: float, says: list[str]
) -> None:
    row = f"SELECT 'db2' AS name, {_text(state)} AS state, {_text(sync_state)} AS sync_state, {lag}::float AS lag"
    monkeypatch.setattr(diagnosis, "STANDBYS", row)
    sentences = wrong(diagnosis._replication("db2"))
    assert len(sentences) == len(says)
    assert all(part in sentence for part, sentence in zip(says, sentences, strict=True))


def _text(value: str | None) -> str:
    return "NULL::text" if value is None else f"'{value}'::text"


def test_a_postgresql_that_does_not_answer_is_one_finding_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_sql: str) -> Any:
        with connection.wrap_database_errors:
            psycopg2.connect(host="127.0.0.1", port=ports.any_free())

    monkeypatch.setattr(diagnosis.db, "rows", away)
    said = " ".join(wrong(diagnosis.findings(now=timezone.now())))
    assert "PostgreSQL does not answer" in said


def test_a_postgresql_with_too_many_clients_is_not_taken_for_an_absent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_sql: str) -> Any:
        with refusals.postgresql_crowded() as url, connection.wrap_database_errors:
            psycopg2.connect(url)

    monkeypatch.setattr(diagnosis.db, "rows", refused)
    said = " ".join(wrong(diagnosis.findings(now=timezone.now())))
    assert "PostgreSQL refuses the connection" in said
    assert "run fewer processes" in said
    assert "start it, or correct the address" not in said.partition("Redis")[0]


def test_a_postgresql_that_takes_no_writes_is_named() -> None:
    assert not [sentence for sentence in wrong(of_database()) if "takes no writes" in sentence]
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            [sentence] = wrong(of_database())
        finally:
            cursor.execute("RESET default_transaction_read_only")
    assert "takes no writes" in sentence


@pytest.fixture
def redis() -> Iterator[Any]:
    client = redis_client.connection()
    client.delete(*(f"queue_health:{queue}" for queue in Queue))
    yield client
    client.delete(*(f"queue_health:{queue}" for queue in Queue))


def test_a_queue_without_a_worker_is_named_with_its_worker(redis: Any) -> None:
    for queue in Queue:
        if queue is not Queue.LIVE:
            redis.set(f"queue_health:{queue}", "0.1", ex=86_400)
    sentences = [sentence for sentence in wrong(diagnosis._of_redis()) if sentence.startswith("queue")]
    assert len(sentences) == 1
    assert "queue live" in sentences[0]
    assert "start the worker broadcasts" in sentences[0]


def test_a_queue_that_is_too_long_asks_for_more_workers(redis: Any) -> None:
    for queue in Queue:
        redis.set(f"queue_health:{queue}", "11" if queue is Queue.PAYMENTS else "0.1", ex=86_400)
    sentences = [sentence for sentence in wrong(diagnosis._of_redis()) if sentence.startswith("queue")]
    assert len(sentences) == 1
    assert "start more of the worker payments" in sentences[0]


def test_a_redis_that_takes_no_writes_is_named_and_no_worker_is_blamed() -> None:
    with refusals.redis_full():
        *_, sentence = wrong(diagnosis._of_redis())
    assert "Valkey takes no writes" in sentence
    assert "worker" not in sentence


def test_a_server_that_would_drop_messages_is_named() -> None:
    info = {"maxmemory": 100, "used_memory": 95, "maxmemory_policy": "allkeys-lru"}
    dropping, full = wrong(diagnosis._memory("Valkey", info))
    assert "noeviction" in dropping
    assert "raise it" in full
    assert wrong(diagnosis._memory("Valkey", {"maxmemory": 0, "maxmemory_policy": "allkeys-lru"})) == []


def test_a_clock_that_is_off_is_named() -> None:
    now = time.time()
    assert "differ by 60 s" in diagnosis._clock("Valkey", now + 60, now).text
    assert diagnosis._clock("Valkey", now, now).good


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """Serve TLS with a certificate that ends tomorrow; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as behind:
        port = behind.getsockname()[1]
        with tls.forwarded(port, tls.certificate(tmp_path)) as served:
            yield served


def test_a_certificate_that_browsers_refuse_is_named(served: int) -> None:
    found = diagnosis._certificate("127.0.0.1", served, now=timezone.now())
    assert not found.good
    assert "browsers refuse the certificate" in found.text


def test_a_certificate_that_ends_soon_is_named(
    served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    found = diagnosis._certificate("127.0.0.1", served, now=timezone.now())
    assert not found.good
    assert "ends in 0 days" in found.text


def test_an_address_that_does_not_answer_is_no_fault_of_the_certificate() -> None:
    assert diagnosis._certificate("127.0.0.1", ports.any_free(), now=timezone.now()).good


def test_in_production_doctor_looks_at_the_whole_system(settings: Any, redis: Any) -> None:
    settings.ENVIRONMENT = "production"
    said = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=said)
    assert "queue payments: 0 messages wait, and nobody has worked on it" in said.getvalue()
    assert "bin/up" not in said.getvalue()
