"""From an event to a sold ticket, live, with every process running."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from overlord.kernel import redis_client
from tests.system import HOLD_SECONDS, System, eventually
from tests.threads import together
from tickets.models import Inventory, Reservation, TicketType

pytestmark = pytest.mark.processes


def hold_end(reservation: int, *, seconds: float) -> None:
    """Let the hold of a reservation end in so many seconds."""
    Reservation.objects.filter(pk=reservation).update(expires_at=timezone.now() + timedelta(seconds=seconds))


def test_everything_is_ready_behind_one_port(system: System) -> None:
    assert system.get("/livez").json() == {"status": "ok"}
    assert eventually(system.ready)
    assert system.get("/readyz").json()["missing"] == []


def test_each_process_shows_that_it_is_alive(system: System) -> None:
    for described in system.programs:
        if described.name != "caddy":
            expected = 2 if described.name == "web" else 1
            eventually(lambda: len(described.liveness_files()) == expected)  # noqa: B023


def test_reserve_pay_and_see_it(system: System, ticket_type: TicketType) -> None:
    buyer = system.buyer()
    screen = system.watch(f"/ws/events/{ticket_type.event_id}/")
    mine = buyer.watch_me()
    first = screen.take()
    assert (first["type"], first["stream"]) == ("snapshot", f"event.{ticket_type.event_id}")
    assert screen.socket.subprotocol == "overlord.v1"
    assert mine.take()["data"] == {"reservations": [], "payments": []}

    listed = buyer.http.get("/event/events/?page_size=100").json()["results"]
    assert {event["id"]: event["tickets"] for event in listed}[ticket_type.event_id] == [ticket_type.pk]
    reserved = buyer.reserve(ticket_type.pk, 2).json()
    detail = buyer.http.get(f"/event/events/{ticket_type.event_id}/").json()
    assert detail["tickets"][0]["available"] == 48
    screen.until(lambda event: event["tickets"][0]["available"] == 48)
    mine.until(lambda me: [r["state"] for r in me["reservations"]] == ["held"])

    payment = buyer.open_payment(reserved["id"])
    assert buyer.pay(payment["id"]).status_code == 202
    paid = buyer.payment_when(payment["id"], "SUCCESS")
    assert (paid["amount"], paid["currency"]) == ("30.00", "EUR")
    assert buyer.reservation(reserved["id"]).json()["validated"] is True
    screen.until(lambda event: event["tickets"][0]["sold"] == 2)
    me = mine.until(lambda me: [r["state"] for r in me["reservations"]] == ["validated"])
    assert [p["payment_status"] for p in me["payments"]] == ["SUCCESS"]
    versions = [frame["version"] for frame in mine.frames if frame["type"] != "heartbeat"]
    assert versions == sorted(set(versions))


def test_a_declined_card_leaves_the_hold(system: System, ticket_type: TicketType) -> None:
    buyer = system.buyer()
    reserved = buyer.reserve(ticket_type.pk).json()
    payment = buyer.open_payment(reserved["id"])
    buyer.pay(payment["id"], "card_error")

    failed = buyer.payment_when(payment["id"], "FAILURE")
    assert "declined" in failed["error"]
    assert buyer.reservation(reserved["id"]).json()["state"] == "held"
    buyer.pay(payment["id"], "ok")
    assert buyer.payment_when(payment["id"], "SUCCESS")["error"] == ""


def test_a_hold_ends_by_itself_and_never_early(system: System, ticket_type: TicketType) -> None:
    buyer = system.buyer()
    mine = buyer.watch_me()
    screen = system.watch(f"/ws/events/{ticket_type.event_id}/")
    reserved = buyer.reserve(ticket_type.pk, 4).json()
    assert reserved["expires_in"] == HOLD_SECONDS
    hold_end(reserved["id"], seconds=1)

    me = mine.until(lambda me: [r["state"] for r in me["reservations"]] == ["expired"])
    screen.until(lambda event: event["tickets"][0]["available"] == 50 and event["version"] > 1)
    ended, due = (parse_datetime(me["reservations"][0][name]) for name in ("ended_at", "expires_at"))
    assert ended is not None
    assert due is not None
    assert ended >= due  # `bin/bench expiry` measures how much later
    gone = buyer.reservation(reserved["id"])
    assert (gone.status_code, gone.json()["state"]) == (410, "expired")


def test_expiry_never_wins_over_a_payment_in_flight(system: System, ticket_type: TicketType) -> None:
    buyer = system.buyer()
    reserved = buyer.reserve(ticket_type.pk).json()
    payment = buyer.open_payment(reserved["id"])
    buyer.pay(payment["id"], "slow")  # eight seconds, and the hold has one
    hold_end(reserved["id"], seconds=1)

    assert buyer.payment_when(payment["id"], "SUCCESS")
    settled = Reservation.objects.get(pk=reserved["id"])
    assert settled.state == "validated"
    assert settled.validated_at is not None
    assert settled.validated_at > settled.expires_at


def test_emptying_redis_after_pay_delays_an_order_and_loses_none(
    system: System, ticket_type: TicketType
) -> None:
    buyer = system.buyer()
    reserved = buyer.reserve(ticket_type.pk).json()
    payment = buyer.open_payment(reserved["id"])
    system.child("payments").kill()
    buyer.pay(payment["id"])
    redis_client.connection().flushall()
    system.restart("payments")

    assert buyer.payment_when(payment["id"], "SUCCESS")
    assert buyer.reservation(reserved["id"]).json()["validated"] is True


def test_two_hundred_buyers_want_fifty_tickets(
    system: System, ticket_type_make: Callable[..., TicketType]
) -> None:
    ticket_type = ticket_type_make(capacity=50)
    screen = system.watch(f"/ws/events/{ticket_type.event_id}/")
    buyers = [system.buyer() for _ in range(200)]

    answers = together(*[lambda buyer=buyer: buyer.reserve(ticket_type.pk).status_code for buyer in buyers])

    assert sorted(answers) == [201] * 50 + [409] * 150  # type: ignore[type-var]
    assert Inventory.objects.get(pk=ticket_type.pk).held == 50
    screen.until(lambda event: event["tickets"][0]["available"] == 0)
    assert all(
        frame["data"]["tickets"][0]["held"] + frame["data"]["tickets"][0]["sold"] <= 50
        for frame in screen.frames
        if frame["type"] != "heartbeat"
    )


@pytest.fixture
def readme(system: System, ticket_type: TicketType) -> Callable[[str], str]:
    """Return the README's example in a language, with the addresses of the running system."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    section = text.split("## Buy a ticket by API")[1].split("\n## ")[0]
    addresses = {
        "//localhost:8080": f"//127.0.0.1:{system.port}",
        "/events/1/": f"/events/{ticket_type.event_id}/",
        "/tickets/1/": f"/tickets/{ticket_type.pk}/",
        '"ticket_type": 1': f'"ticket_type": {ticket_type.pk}',
    }
    for written, here in addresses.items():
        assert written in section
        section = section.replace(written, here)
    return lambda language: "\n".join(re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL))


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_readme_buys_two_tickets(readme: Callable[[str], str], ticket_type: TicketType) -> None:
    told = run("/bin/sh", "-euc", readme("sh"))

    assert '"username":"ada"' in told
    eventually(lambda: Inventory.objects.get(pk=ticket_type.pk).sold == 2)


def test_the_readme_follows_an_event(readme: Callable[[str], str]) -> None:
    told = run(sys.executable, "-c", readme("python").replace("print(frame)", "print(frame)\n        break"))

    assert '"type":"snapshot"' in told
