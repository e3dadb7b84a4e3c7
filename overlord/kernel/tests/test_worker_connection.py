"""A worker tries each second to reach a broker that does not answer."""

import logging

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError

from overlord.celery import app
from overlord.embedded import ports
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
