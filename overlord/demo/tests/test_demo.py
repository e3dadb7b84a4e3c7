"""The demo, which `bin/up` shows to a newcomer."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.demo import services
from tickets.models import Event, Inventory

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_demo_has_thirty_events_of_every_kind() -> None:
    now = timezone.now()
    call_command("load_demo")

    stock = {f"{row.ticket_type.event.name}/{row.ticket_type.name}": row for row in Inventory.objects.all()}
    left = {name: row.capacity - row.held - row.sold for name, row in stock.items()}
    assert Event.objects.count() == 30
    assert left["Alma Novak Quartet/Regular"] == 40
    assert [left["Winter Lights Gala/VIP"], left["Winter Lights Gala/Regular"]] == [0, 0]
    assert all(
        row.opens_at and row.opens_at > now for name, row in stock.items() if name.startswith("Aurora")
    )
    others = ("Alma", "Winter", "Aurora")
    open_events: dict[str, int] = {}
    for name, count in left.items():
        if not name.startswith(others):
            open_events[name.split("/")[0]] = open_events.get(name.split("/")[0], 0) + count
    assert len(open_events) == 27
    assert min(open_events.values()) >= 200
    first = Event.objects.earliest("date")
    assert timedelta(days=10) <= first.date - now < timedelta(days=17)


def test_loading_again_changes_nothing() -> None:
    services.demo_load(password="first", now=timezone.now())
    before = list(Inventory.objects.order_by("pk").values())

    assert services.demo_load(password="second", now=timezone.now()) == 0
    assert list(Inventory.objects.order_by("pk").values()) == before


def test_users_of_the_demo_can_log_in() -> None:
    services.users_make(password="open sesame")

    for name in ("staff", "buyer"):
        body = {"username": name, "password": "open sesame"}
        assert APIClient().post("/api-auth/login/", body, format="json").status_code == 200
    assert User.objects.get(username="staff").is_superuser
    assert not User.objects.get(username="buyer").is_staff
