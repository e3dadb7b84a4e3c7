"""/metrics: the figures for Prometheus, and the permission to read them."""

import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from overlord.accounts.models import User
from overlord.embedded import binaries
from overlord.kernel import database_check, queue_health, queues
from overlord.kernel.postgresql.standby import standby
from overlord.kernel.queues import Queue
from stats import metrics
from tests.system import eventually
from tickets.admission.tests import admitting
from tickets.admission.tests.doors import codes_of, scan
from tickets.line.tests.lines import enter, line_make, open_sale, people, serve_all
from tickets.models import Event, Inventory, TicketType
from tickets.tests.reserving import claim, end

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "a-token-of-twenty-characters"
THROUGH_THE_FRONT_SERVER = {"X-Forwarded-For": "192.0.2.1"}


def figures() -> dict[tuple[str, ...], float]:
    """Return each figure by its name and its label's value."""
    families = text_string_to_metric_families(metrics.text(now=timezone.now()).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_tickets_are_counted_by_state_and_by_change(
    user_make: Callable[..., User],
    ticket_type: TicketType,
    ticket_type_make: Callable[..., TicketType],
) -> None:
    claim(user_make().pk, ticket_type, 2)
    late = user_make()
    claim(late.pk, ticket_type, 3)
    end(late)
    of_a_draft = ticket_type_make(paused=True)
    Event.objects.filter(pk=of_a_draft.event_id).update(status="draft")
    Inventory.objects.filter(pk=ticket_type.pk).update(revenue_minor=1250)

    found = figures()

    free = Inventory.objects.get(pk=ticket_type.pk).capacity - 5
    assert [found["overlord_tickets", state] for state in ("available", "held", "sold")] == [free, 5, 0]
    assert found[("overlord_reservations_total",)] == 2
    assert found[("overlord_reserved_tickets_total",)] == 5
    assert found[("overlord_holds_due",)] == 1
    assert found[("overlord_hold_late_seconds",)] > 0
    assert found["overlord_revenue", ticket_type.event.currency] == 12.5
    assert found[("overlord_oversold_types",)] == 0
    assert found[("overlord_redis_up",)] == 1


def test_faults_in_the_setup_of_postgresql_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures()[("overlord_database_setup_faults",)] == 0
    assert figures()[("overlord_standby_away",)] == 0
    monkeypatch.setattr(database_check, "_found", ["a sentence", "another"])
    monkeypatch.setattr(standby, "_retry_at", 0.0)
    assert figures()[("overlord_database_setup_faults",)] == 2
    assert figures()[("overlord_standby_away",)] == 1


@pytest.mark.processes
def test_the_servers_that_follow_are_counted(tmp_path: Path) -> None:
    assert figures()[("overlord_standbys",)] == 0
    program = binaries.postgres_folder() / "pg_receivewal"
    follower = subprocess.Popen([program, "--dbname", os.environ["DATABASE_URL"], "--directory", tmp_path])
    try:
        eventually(lambda: figures()[("overlord_standbys",)] == 1)
    finally:
        follower.kill()
        follower.wait()
    eventually(lambda: figures()[("overlord_standbys",)] == 0)


def test_a_line_shows_how_far_it_is(ticket_type_make: Callable[..., TicketType]) -> None:
    types = line_make(ticket_type_make, 1)
    for buyer in people(3):
        enter(types[0], buyer)
    event = str(types[0].event_id)
    assert (figures()["overlord_line_entered", event], figures()["overlord_line_served", event]) == (3, 0)

    open_sale(types)
    serve_all(types[0])

    assert figures()["overlord_line_served", event] == 3


def test_admissions_are_counted_by_event_and_gate(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    event = ticket_type.event
    Event.objects.filter(pk=event.pk).update(date=timezone.now() + timedelta(hours=1))
    first, second, _ = codes_of(admitting.paid(user_make(), ticket_type, 3))
    steward = user_make()
    for code, gate in ((first, "North"), (second, "South")):
        scan(code, actor_id=steward.pk, gate=gate)
    found = figures()

    assert [found["overlord_admitted", str(event.pk), gate] for gate in ("North", "South")] == [1, 1]
    assert found["overlord_door_tickets", str(event.pk)] == 3
    assert found["overlord_door_conflicts", str(event.pk)] == 0


def test_a_queue_that_nobody_works_on_has_messages_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert QueueDead asks for such a queue."""
    monkeypatch.setattr(queue_health, "_last_record", {})
    queue_health.task_record(queue=Queue.MAIL, sent_at=None)
    queues.enqueue("mailings.go_on", Queue.MAILINGS)
    found = figures()

    assert found["overlord_queue_messages", Queue.MAILINGS] == 1
    waits = {labels[0] for name, *labels in found if name == "overlord_queue_wait_seconds"}
    assert waits == {Queue.MAIL}


def test_an_empty_shop_has_figures_too() -> None:
    found = figures()

    assert found[("overlord_reservations_total",)] == 0
    assert found["overlord_tickets", "sold"] == 0


def test_a_request_past_the_front_server_may_read_the_figures(client: Client) -> None:
    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert b"overlord_reservations_total" in answer.content


@pytest.mark.parametrize(
    ("token", "header", "status"),
    [
        ("", "", 404),
        ("", "Bearer ", 404),
        (TOKEN, "", 404),
        (TOKEN, f"Bearer {TOKEN}x", 404),
        (TOKEN, "Bearer ü", 404),
        (TOKEN, f"Bearer {TOKEN}", 200),
    ],
)
def test_through_the_front_server_only_the_token_opens_the_figures(
    client: Client, settings: Any, token: str, header: str, status: int
) -> None:
    settings.METRICS_TOKEN = token
    headers = {**THROUGH_THE_FRONT_SERVER, **({"Authorization": header} if header else {})}

    assert client.get("/metrics/", headers=headers).status_code == status


def test_a_program_without_permission_gets_the_answer_of_an_unknown_address(client: Client) -> None:
    answers = [client.get(path, headers=THROUGH_THE_FRONT_SERVER) for path in ("/metrics/", "/nothing/here/")]
    page = client.get("/metrics/", headers={**THROUGH_THE_FRONT_SERVER, "Accept": "text/html"})

    assert [(each.status_code, each["Content-Type"]) for each in answers] == [
        (404, "application/problem+json")
    ] * 2
    assert answers[0].content == answers[1].content
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")
