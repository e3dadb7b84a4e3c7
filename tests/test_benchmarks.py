"""The benchmarks are honest: goals can be missed, and figures are void if the sale was wrong."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from rest_framework.test import APIRequestFactory

from benchmarks import door, load, pgbench, sale
from benchmarks.__main__ import SECONDS, is_late
from benchmarks.arms.naive.authentication import TokenAuthentication
from benchmarks.arms.naive.views import Reservations
from benchmarks.load import Load, Tally
from benchmarks.opening.browser import Browser
from benchmarks.report import Goal, Report, Scale, percentile
from overlord.accounts.models import ApiToken, User
from overlord.embedded.program import ROOT
from overlord.kernel import db
from tests.clients import token_of
from tickets.models import Inventory, Reservation, TicketType


# Goals ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ({"least": 2.0}, True),
        ({"least": 2.1}, False),
        ({"most": 2.0}, True),
        ({"most": 1.9}, False),
        ({"least": 1.0, "most": 3.0}, True),
    ],
)
def test_the_median_decides_whether_a_goal_is_met(limits: dict[str, float], met: bool) -> None:
    assert Goal(name="x", measured=[1.0, 2.0, 9.0], **limits).met is met


def test_benchmarks_keep_to_twenty_minutes_together() -> None:
    assert sum(SECONDS.values()) <= 19 * 60
    assert Scale(quick=False).rounds == 3
    assert Scale(quick=False, late=True).rounds == 2
    assert Scale(quick=True, late=True).rounds == 1


@pytest.mark.parametrize(
    ("name", "elapsed", "late"),
    [
        ("reserve", 0.0, False),
        ("batches", SECONDS["reserve"], False),
        ("batches", SECONDS["reserve"] + 0.1, True),
        ("line", sum(SECONDS.values()) - SECONDS["line"] + 0.1, True),
    ],
)
def test_a_benchmark_that_begins_late_has_fewer_rounds(name: str, elapsed: float, late: bool) -> None:
    assert is_late(name, elapsed) is late


def test_a_missed_goal_stands_in_the_table() -> None:
    report = Report("Name")
    report.add("arm", **{"a second": 10.0})
    report.goals = [Goal(name="x", measured=[1.0], least=2.0, bound=4.0)]
    assert "| at least 2" in report.as_text()
    assert "MISSED" in report.as_text()
    assert "4 (25% of it)" in report.as_text()
    assert report.as_plain()["goals"][0]["verdict"] == "MISSED"


@pytest.mark.parametrize(
    ("measured", "bound", "verdict"),
    [(0.7, 0.5, "met"), (0.48, 0.5, "out of reach"), (0.4, 0.5, "MISSED"), (0.55, 0.9, "MISSED")],
)
def test_a_goal_above_the_bound_is_out_of_reach_only_if_the_bound_was_reached(
    measured: float, bound: float, verdict: str
) -> None:
    assert Goal(name="x", measured=[measured], least=0.6, bound=bound).verdict == verdict


@pytest.mark.parametrize(
    ("measured", "bound", "verdict"),
    [(0.8, 0.9, "met"), (0.99, 0.9, "out of reach"), (1.1, 0.9, "MISSED"), (0.9, 0.7, "MISSED")],
)
def test_a_ceiling_below_the_bound_is_out_of_reach_only_for_who_reached_the_bound(
    measured: float, bound: float, verdict: str
) -> None:
    assert Goal(name="x", measured=[measured], most=0.83, bound=bound).verdict == verdict


def test_arms_are_compared_round_by_round() -> None:
    report = Report("Name")
    for mine, theirs in [(10.0, 5.0), (30.0, 10.0)]:
        report.add("mine", rate=mine)
        report.add("theirs", rate=theirs)
    assert report.ratios("mine", "theirs", "rate") == [2.0, 3.0]
    report.add("mine", rate=1.0)
    with pytest.raises(ValueError, match="shorter"):
        report.ratios("mine", "theirs", "rate")


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile(range(100), share) for share in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]


# The gate ------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
class TestGate:
    def test_a_right_sale_passes(self, ticket_type: TicketType) -> None:
        sale.check(Tally(statuses=Counter({409: 3})))

    def test_a_wrong_counter_voids_the_arm(self, ticket_type: TicketType) -> None:
        Inventory.objects.update(held=1)
        with pytest.raises(sale.BrokenError, match="disagree"):
            sale.check()

    def test_a_lost_acknowledged_reservation_voids_the_arm(self, ticket_type: TicketType) -> None:
        with pytest.raises(sale.BrokenError, match="1 reservations were acknowledged, 0 exist"):
            sale.check(Tally(statuses=Counter({201: 1})))

    def test_an_error_of_the_server_voids_the_arm(self, ticket_type: TicketType) -> None:
        with pytest.raises(sale.BrokenError, match="failed"):
            sale.check(Tally(statuses=Counter({503: 1})))

    def test_buyers_are_made_with_their_tokens_once(self) -> None:
        sale.buyers_make(3)
        sale.buyers_make(3)
        [row] = db.rows(
            "SELECT u.id FROM accounts_user u JOIN accounts_apitoken t ON t.user_id = u.id WHERE t.key_hash = %s",
            [ApiToken.hash_of(sale.token(2))],
        )
        assert row["id"] == 2


# Load ----------------------------------------------------------------------------------------------------
@pytest.fixture
def server() -> Iterator[int]:
    """Answer each request with a 201 in two pieces, and close the connection at the path `/end`."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(line: socket.socket) -> None:
        with line:
            while (asked := line.recv(65536)) and b"/end" not in asked:
                line.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nab")
                line.sendall(b"cd")

    def accept() -> None:
        try:
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
        except OSError:
            return

    thread = threading.Thread(target=accept)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_every_request_is_sent_once_and_its_answer_counted(server: int) -> None:
    crowd = Load(server, 2)
    asked = [iter([load.request("GET", "/")] * 3), iter([load.request("GET", "/")] * 3)]
    tally = crowd.run(asked, seconds=30)
    crowd.close()
    assert 3 <= tally.statuses[201] <= 6, "the first connection that runs out ends the run"
    assert len(tally.latencies) == len(tally.created) == tally.statuses[201]


def test_a_load_waits_for_late_answers_and_does_not_poll(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Load(server, 1)
    waits: list[float] = []
    really = crowd._selector.select

    def select(timeout: float) -> Any:
        waits.append(timeout)
        return really(timeout)

    monkeypatch.setattr(crowd._selector, "select", select)
    crowd.run([iter([load.request("GET", "/")] * 3)], seconds=30, rate=1e9)
    crowd.close()
    [looked, *waited] = waits
    assert (looked, set(waited)) == (0, {load.GIVE_UP})


def test_a_load_fails_when_the_server_closes_a_connection(server: int) -> None:
    crowd = Load(server, 1)
    with pytest.raises(ConnectionError):
        crowd.run([iter([load.request("GET", "/"), load.request("GET", "/end")])], seconds=30)
    crowd.close()


class Answered(Future[Any]):
    """A future that has a result and never calls its callbacks."""

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        pass


class LateCallbacks(Executor):
    """An executor that does its work at once, in the caller's thread."""

    def __init__(self, **_: Any) -> None:
        self.asked: list[int] = []

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Any:
        self.asked.append(args[2])
        answered = Answered()
        answered.set_result(fn(*args))
        return answered


def test_buyers_request_no_reservation_twice(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ProcessPoolExecutor", LateCallbacks)
    with door.Buyers(server, [1, 2]) as buyers:
        answers = [buyers.begin(seconds=0.1).result().statuses.total() for _ in range(2)]
        assert answers[0] > 0
        assert buyers._process.asked == [0, answers[0]]  # type: ignore[attr-defined]


# The browser of the opening ------------------------------------------------------------------------------
PAGE = """<!doctype html><link rel="canonical" href="/not-loaded"><link rel="stylesheet" href="/a.css">
<script type="importmap">{"imports": {"shop/words.js": "/static/words.123.js"}}</script>
<script type="module" src="/page.js"></script><img src="https://elsewhere.example/far.png">"""
FILES = {
    "/a.css": ("text/css", "max-age=60", "p {}"),
    "/page.js": (
        "text/javascript",
        "no-cache",
        'import { say } from "shop/words.js";\nexport function f("/no") {}',
    ),
    "/static/words.123.js": ("text/javascript", "max-age=60", 'import "./more.js";'),
    "/static/more.js": ("text/javascript", "", ""),
}


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_browser_loads_all_files_of_a_page_and_requests_only_stale_ones_again(
    chunked: bool,
) -> None:
    asked: list[tuple[str, str | None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            path = head.split()[1]
            tag = next((line[15:] for line in head.split("\r\n") if line.startswith("If-None-Match: ")), None)
            asked.append((path, tag))
            kind, cache, text = FILES.get(path, ("text/html", "", PAGE))
            status = "304 Not Modified" if tag else "200 OK"
            body = b"" if tag else text.encode()
            sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
            length = "Transfer-Encoding: chunked" if chunked and body else f"Content-Length: {len(body)}"
            named = f'Content-Type: {kind}\r\nCache-Control: {cache}\r\nETag: "{path}"\r\n{length}'
            writer.write(f"HTTP/1.1 {status}\r\n{named}\r\n\r\n".encode() + sent)
        writer.close()
        await writer.wait_closed()

    async def visit() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            browser = Browser(listening.sockets[0].getsockname()[1])
            await browser.page("/events/1/")
            await browser.page("/again")
            await browser.close()

    asyncio.run(visit())
    first = ["/events/1/", *FILES]
    assert sorted(asked[: len(first)]) == sorted((path, None) for path in first)
    assert asked[len(first) :] == [
        ("/again", None),
        ("/page.js", '"/page.js"'),
        ("/static/more.js", '"/static/more.js"'),
    ]


# Arms ----------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_naive_arm_reserves_for_the_owner_of_a_token(buyer: User, ticket_type: TicketType) -> None:
    body = {"ticket_type": ticket_type.pk, "amount": 2}
    headers = {"Authorization": f"Token {token_of(buyer)}"}
    request = APIRequestFactory().post("/event/reservations/", body, format="json", headers=headers)

    answer = Reservations.as_view(authentication_classes=[TokenAuthentication])(request)

    assert (answer.status_code, answer.data["amount"]) == (201, 2)
    assert Inventory.objects.get(pk=ticket_type.pk).held == 2


# The statements that pgbench repeats ---------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "script",
    [
        lambda types: pgbench.claim(types[:1], limits=pgbench.LIMITED),
        lambda types: pgbench.claim(types[:1]),
        lambda types: pgbench.claim_unchecked(types[:1]),
        lambda types: pgbench.order(types, limits=pgbench.LIMITED),
    ],
    ids=["claim", "claim, limits off", "claim, buyer not checked", "order"],
)
def test_pgbench_reserves_for_the_next_buyer(
    script: Callable[[list[int]], str], ticket_type_make: Callable[..., TicketType]
) -> None:
    sale.buyers_make(2)
    first = ticket_type_make()
    types = [first.pk, ticket_type_make(event=first.event).pk]
    statement = script(types).splitlines()[-1].replace(":type", str(first.pk))
    db.rows("CREATE SEQUENCE IF NOT EXISTS bench_buyer")
    db.rows("SELECT setval('bench_buyer', 1, false)")

    for _ in range(2):
        db.rows(statement.replace("%", "%%"))

    wanted = len(types) if "reservations_claim" in statement else 1
    made = Counter(Reservation.objects.values_list("buyer__username", flat=True))
    assert made == {"bench-1": wanted, "bench-2": wanted}


def test_the_programs_of_grown_systems_find_the_settings() -> None:
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    argv = [sys.executable, "-m", "benchmarks.grown", "nothing"]
    ended = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "No module named 'benchmarks.grown.nothing'" in ended.stderr
