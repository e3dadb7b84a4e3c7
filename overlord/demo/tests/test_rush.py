"""`manage.py rush` finds the shop that runs on this checkout's data, and no other one."""

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from overlord.demo import services
from overlord.demo.management.commands.rush import running_shop
from overlord.embedded.state import Folder
from tickets.line import services as line
from tickets.line.models import Line
from tickets.models import TicketType


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Folder:
    settings.DATA_DIR = tmp_path
    return Folder(tmp_path)


@pytest.fixture
def other_shop() -> Iterator[str]:
    """Run a server that is not ours, and that no buyer may reach."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
    assert not asked


def test_the_command_finds_the_shop_on_its_port(folder: Folder) -> None:
    with folder.lock():
        folder.announce(serving="http://localhost:8931")

        assert running_shop() == "http://localhost:8931"


def test_without_a_running_shop_the_command_reaches_no_other(folder: Folder, other_shop: str) -> None:
    with folder.lock():
        folder.announce(serving=other_shop)

    with pytest.raises(CommandError, match=r"No shop runs with the data in .*bin/up"):
        call_command("rush")


@pytest.mark.parametrize("serving", [None, "PostgreSQL and Valkey alone"])
def test_a_shop_that_is_not_ready_is_waited_for(folder: Folder, serving: str | None) -> None:
    with folder.lock():
        folder.announce(serving=serving)

        with pytest.raises(CommandError, match="not ready"):
            call_command("rush")


@pytest.mark.django_db
def test_a_shop_that_does_not_answer_is_named() -> None:
    with pytest.raises(CommandError, match=r"There is no shop at http://127\.0\.0\.1:1"):
        call_command("rush", buyers=1, url="http://127.0.0.1:1", stdout=StringIO())


@pytest.mark.parametrize("seconds", [9, 1501])
def test_the_time_until_the_draw_is_bounded(seconds: int) -> None:
    with pytest.raises(CommandError, match="10 to 1500"):
        call_command("rush", draw=True, opens_in=seconds, url="http://127.0.0.1:1", stdout=StringIO())


@pytest.mark.django_db(transaction=True)
def test_the_event_of_a_draw_has_its_lobby_open_and_fewer_tickets_than_people() -> None:
    now = timezone.now()
    event_id = services.drawn_event_make(people=100, opens_in=timedelta(seconds=30), now=now)
    line.time_passed(hold=timedelta(minutes=15), now=now)

    types = TicketType.objects.filter(event_id=event_id)
    assert Line.objects.get(pk=event_id).phase == "lobby"
    assert 0 < sum(each.inventory.capacity for each in types) < 100
    assert all(each.inventory.line_first for each in types)


def test_the_number_of_buyers_is_bounded() -> None:
    with pytest.raises(CommandError, match="1 to 5000"):
        call_command("rush", buyers=5001)
