"""A worker tries each second to reach a broker that does not answer, and forgets a lost connection's messages."""

import logging
from pathlib import Path

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError

from overlord.celery import app
from overlord.embedded import binaries, ports, processes
from overlord.embedded.servers import Valkey
from overlord.kernel.queues import Queue, message
from overlord.worker_connection import PromptConsumer

TRIES = 3


def waits(
    kind: type[Consumer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return the waits that a consumer of this kind logs while nothing listens at the broker's port."""
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    monkeypatch.setattr(app.conf, "broker_connection_max_retries", TRIES)
    consumer = object.__new__(kind)
    consumer.app, consumer.first_connection_attempt, consumer.broker_connection_retry_attempt = app, False, 0
    caplog.clear()
    with (
        caplog.at_level(logging.ERROR, logger="celery.worker.consumer.consumer"),
        app.connection_for_read(f"redis://127.0.0.1:{ports.any_free()}/0") as connection,
        pytest.raises(OperationalError),
    ):
        consumer.ensure_connected(connection)
    assert len(caplog.records) == TRIES
    return [
        record.getMessage().partition("Trying again ")[2].partition("...")[0] for record in caplog.records
    ]


def test_a_worker_tries_each_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waits(PromptConsumer, caplog, monkeypatch) == ["in 1.00 second"] * TRIES
    assert app.conf.worker_consumer == "overlord.worker_connection:PromptConsumer"


def test_control_celerys_own_consumer_waits_longer_and_longer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waits(Consumer, caplog, monkeypatch) == ["in 2.00 seconds", "in 4.00 seconds", "in 6.00 seconds"]


def losses(
    kind: type[Consumer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> list[str]:
    """Return which loggers a consumer of this kind uses when Redis ends and the consumer has a message of it."""
    monkeypatch.setattr(app.conf, "worker_enable_prefetch_count_reduction", False)
    valkey = Valkey(binary=binaries.valkey(), data=folder, port=ports.any_free(), password="secret")
    child = processes.start(valkey.program(), folder)
    try:
        child.wait_ready()
        consumer = object.__new__(kind)
        consumer.app, consumer.connection = app, app.connection_for_read(valkey.url)
        consumer.connection.ensure_connection()
        channel = consumer.connection.channel()
        channel.client.lpush(Queue.LIVE, message("realtime.flush", queue=Queue.LIVE, expires=None, ids={}))
        assert channel.basic_get(Queue.LIVE) is not None
    finally:
        child.kill()
    caplog.clear()
    consumer.on_connection_error_after_connected(ConnectionError())
    return [record.name for record in caplog.records]


def test_a_worker_forgets_the_messages_of_a_lost_connection(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    assert losses(PromptConsumer, caplog, monkeypatch, tmp_path) == ["celery.worker.consumer.consumer"]
    assert list(recwarn) == []


def test_control_celerys_own_consumer_writes_them_into_a_file(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "kombu.utils.div" in losses(Consumer, caplog, monkeypatch, tmp_path / "valkey")
    assert [file for file in tmp_path.iterdir() if file.is_file()] != []
