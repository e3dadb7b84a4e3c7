"""One order can be traced by its rows, by the steps of its payments, and by lines in the logs."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from celery import current_app
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from checkout import services
from checkout.management.commands import trace
from checkout.models import Payment, PaymentStep
from checkout.tests.paying import pay, work
from overlord.kernel import steps
from overlord.kernel.queues import Queue
from overlord.settings import logs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["json", "plain"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Collect the log as production or development writes it."""
    configured = logs.configure(level="INFO", json=request.param == "json")["formatters"]["line"]
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=configured["processors"], foreign_pre_chain=configured["foreign_pre_chain"]
        )
    )
    logger = logging.getLogger("overlord.steps")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield output
    logger.removeHandler(handler)
    logger.setLevel(level)


def traced(reservation: int, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(log.getvalue()))
    output = io.StringIO()
    call_command("trace", str(reservation), "--logs", "-", stdout=output)
    return output.getvalue()


@pytest.mark.parametrize(
    ("token", "status"), [("ok", "SUCCESS"), ("card_error", "FAILURE"), ("payment_error", "FAILURE")]
)
def test_each_payment_leaves_its_steps(
    api: APIClient,
    payment: Payment,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    status: str,
) -> None:
    pay(api, payment, token)
    work(payment)

    shown = traced(payment.reservation_id, lines, monkeypatch)

    facts, logged = shown.split("From the logs:")
    ended = {
        "ok": "The payment succeeded",
        "card_error": "The payment failed: the card was declined",
        "payment_error": "The payment failed: the payment service could not process it",
    }[token]
    for what, detail in (
        ("The payment was prepared", "NOT_STARTED, try 0"),
        (
            "The buyer pressed Pay, and the payment is waiting to be sent to the payment service",
            "PENDING, try 1",
        ),
        ("The payment was sent to the payment service", "PROCESSING, try 1, attempt 1"),
        (ended, f"{status}, try 1"),
    ):
        assert f"{what} (payment {payment.pk} {detail}" in facts
    for step in ("payment_pending", "payment_taken", "payment_intent_made", f"payment_{status.lower()}"):
        assert step in logged


def test_a_payment_in_doubt_and_its_next_attempt_are_told(api: APIClient, payment: Payment) -> None:
    pay(api, payment, "timeout_charged")
    work(payment)
    Payment.objects.update(lease_until=None)
    work(payment)

    told = (
        PaymentStep.objects.filter(payment_number=payment.pk).order_by("pk").values_list("status", "attempts")
    )
    assert list(told)[-1] == ("SUCCESS", 2)
    assert ("PROCESSING", 1) in told


def test_the_steps_of_a_removed_payment_stay(api: APIClient, payment: Payment) -> None:
    number = payment.pk
    services.payment_remove(buyer_id=payment.buyer_id, payment_id=number)
    assert PaymentStep.objects.filter(payment_number=number).exists()


def test_lines_of_another_order_are_left_out() -> None:
    about = {("reservation", 7), ("payment", 3)}
    mine = [
        '{"reservation": 7, "request_id": "00000000000000aa", "timestamp": "2026-01-01T00:00:02Z"}',
        "2026-01-01T00:00:01Z INFO overlord.steps: payment_taken payment=3 request_id=00000000000000bb",
        "2026-01-01T00:00:03Z WARNING x: in doubt request_id=00000000000000bb",
    ]
    others = [
        '{"reservation": 77, "timestamp": "2026-01-01T00:00:01Z"}',
        "2026-01-01T00:00:01Z INFO overlord.steps: payment_taken payment=33 request_id=00000000000000cc",
        "2026-01-01T00:00:01Z INFO overlord.steps: refund_x refund_payment=3",
    ]
    assert trace.related([*others, *mine], about) == [mine[1], mine[0], mine[2]]


def test_an_unknown_order_is_named() -> None:
    with pytest.raises(CommandError, match="no reservation 404"):
        call_command("trace", "404")


def test_a_missing_file_of_logs_is_named(payment: Payment, tmp_path: Path) -> None:
    file = tmp_path / "no.log"
    with pytest.raises(CommandError, match=r"no\.log cannot be read: No such file or directory"):
        call_command("trace", str(payment.reservation_id), "--logs", str(file), stdout=io.StringIO())


class TestRequestIds:
    def test_an_answer_to_a_change_names_its_request_id(
        self, api: APIClient, payment: Payment, lines: Any
    ) -> None:
        answer = pay(api, payment)
        assert re.fullmatch("[0-9a-f]{16}", answer["X-Request-Id"])
        assert answer["X-Request-Id"] in lines.getvalue()
        assert "X-Request-Id" not in api.get("/event/events/")
        assert steps.request_id() is None

    def test_a_message_to_a_worker_has_the_id_of_its_request(self, api: APIClient, payment: Payment) -> None:
        answer = pay(api, payment)
        with current_app.connection_for_read() as connection:
            message = connection.SimpleQueue(Queue.PAYMENTS).get_nowait()
        assert message.headers["request_id"] == answer["X-Request-Id"]

    def test_json_lines_can_be_read_by_programs(self, api: APIClient, payment: Payment, lines: Any) -> None:
        answer = pay(api, payment)
        written = [line for line in lines.getvalue().splitlines() if line.startswith("{")]
        for read in map(json.loads, written):
            assert read["request_id"] == answer["X-Request-Id"]
            assert {"timestamp", "level", "logger", "event"} <= set(read)


def test_no_step_holds_what_is_private(api: APIClient, payment: Payment, lines: io.StringIO) -> None:
    pay(api, payment, "tok_secret_of_a_card")
    work(payment)
    assert "tok_secret" not in lines.getvalue()
    assert payment.buyer.email not in lines.getvalue()


@pytest.mark.processes
def test_a_worker_that_logs_warnings_alone_logs_steps() -> None:
    """Celery gives the root logger the level of its command line."""
    script = (
        "import django; django.setup();"
        "from overlord.celery import app; app.log.setup_logging_subsystem(loglevel='WARNING');"
        "from overlord.kernel.steps import step_log; step_log('payment_taken', payment=7)"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "overlord.settings"}
    ran = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "overlord.steps: payment_taken payment=7" in ran.stderr
