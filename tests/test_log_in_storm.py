"""A rush of log-ins takes no thread of the sale, and their queue is limited. Tests count, and measure no time."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from overlord.embedded import ports, processes, program
from overlord.kernel import db
from tests.system import System, eventually
from tests.threads import together
from tickets.models import TicketType

pytestmark = pytest.mark.processes

WEB_THREADS, LOGIN_THREADS = 8, 4  # overlord/embedded/program.py
QUEUE = 64  # overlord/embedded/Caddyfile
RUSH = 80
LOG_IN = "/api-auth/login/"

WAITING = """
SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


def waiting_for_the_row() -> set[int]:
    """Return the threads of all processes that wait for the locked row, by their connections."""
    # Otherwise a transaction sees only the sessions of its first look.
    db.rows("SELECT pg_stat_clear_snapshot()")
    return {row["pid"] for row in db.rows(WAITING)}


def waited_for_the_row(threads: int) -> set[int]:
    """Wait until so many threads have waited for the row, and return them.

    They need not wait at one instant: each waits at most for lock_timeout, and then hashes the next password.
    """
    seen: set[int] = set()

    def look() -> bool:
        seen.update(waiting_for_the_row())
        return len(seen) >= threads

    eventually(look)
    return seen


@contextmanager
def locked(username: str) -> Iterator[None]:
    """Lock the user's row: each log-in of the user then waits for it, and keeps its thread."""
    with db.transaction():
        assert db.rows("SELECT id FROM accounts_user WHERE username = %s FOR UPDATE", [username])
        yield


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(RUSH) as crowd:
        yield crowd


@pytest.fixture
def slow(system: System) -> dict[str, str]:
    """Return the credentials of a new account."""
    system.buyer()
    [row] = db.rows("SELECT username FROM accounts_user ORDER BY id DESC LIMIT 1")
    return {"username": row["username"], "password": "correct horse"}


def log_in(url: str, body: dict[str, str], **headers: str) -> httpx.Response:
    return httpx.post(url + LOG_IN, json=body, headers=headers, timeout=60)


def test_log_ins_hold_none_of_the_sales_threads(
    system: System,
    ticket_type_make: Callable[..., TicketType],
    slow: dict[str, str],
    crowd: ThreadPoolExecutor,
) -> None:
    buyers = [system.buyer() for _ in range(2 * WEB_THREADS)]
    ticket_type = ticket_type_make(capacity=100)
    with locked(slow["username"]):
        rush = [crowd.submit(log_in, system.url, slow) for _ in range(QUEUE)]
        held = waited_for_the_row(LOGIN_THREADS)

        reserved = together(*[lambda buyer=buyer: buyer.reserve(ticket_type.pk) for buyer in buyers])
        pages = together(*[lambda path=path: system.get(path) for path in ("/", "/login/", "/signup/") * 6])

        assert [answer.status_code for answer in reserved] == [201] * len(buyers)  # type: ignore[attr-defined]
        assert {answer.status_code for answer in pages} == {200}  # type: ignore[attr-defined]
        assert len(held | waiting_for_the_row()) == LOGIN_THREADS
    assert {each.result().status_code for each in rush} <= {200, 503}


def test_control_without_processes_of_their_own_they_hold_the_sales_threads(
    system: System, slow: dict[str, str], crowd: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with ExitStack() as ended:
        [web] = [each for each in system.children if each.program.name == "web"]
        port = ports.any_free()
        web_port = int(web.program.argv[web.program.argv.index("--port") + 1])
        caddy = program.caddy(
            port,
            web_port=web_port,
            logins_port=web_port,
            door_port=web_port,
            live_port=web_port,
            static=tmp_path,
            data_dir=tmp_path,
        )
        child = processes.start(caddy, tmp_path)
        ended.callback(processes.stop, [child])
        child.wait_ready()
        with locked(slow["username"]):
            rush = [crowd.submit(log_in, f"http://127.0.0.1:{port}", slow) for _ in range(QUEUE)]
            # Granian starts threads as requests wait, so a process may not have all of its threads.
            waited_for_the_row(LOGIN_THREADS + 1)
        for each in rush:
            each.result()


@contextmanager
def full_queue(
    system: System, body: dict[str, str], crowd: ThreadPoolExecutor
) -> Iterator[list[Future[Any]]]:
    """Stop the processes for log-ins, and send some more log-ins than may wait."""
    group = system.child("logins").pid
    os.killpg(group, signal.SIGSTOP)
    try:
        rush = [crowd.submit(log_in, system.url, body) for _ in range(RUSH)]
        eventually(lambda: sum(each.done() for each in rush) == RUSH - QUEUE)
        yield rush
    finally:
        os.killpg(group, signal.SIGCONT)


def test_a_queue_that_is_too_long_is_refused_at_once_and_others_get_in(
    system: System, crowd: ThreadPoolExecutor
) -> None:
    wrong = {"username": "nobody", "password": "wrong"}
    with full_queue(system, wrong, crowd) as rush:
        refused = [each.result() for each in rush if each.done()]
        html = {"Accept": "text/html"}
        page = httpx.post(f"{system.url}/login/?next=/me/", data=wrong, headers=html, timeout=60)
    statuses = Counter(each.result().status_code for each in rush)
    assert statuses.keys() == {400, 503}  # on a busy machine some of those that wait hear 503 after 30 s
    assert statuses[503] >= RUSH - QUEUE
    for each in refused:
        assert (each.json()["code"], each.headers["Retry-After"]) == ("busy", "1")
        assert each.headers["Content-Type"] == "application/problem+json"
    assert page.status_code == 503
    assert "The server is busy." in page.text
    assert '<a href="">Try again</a>' in page.text


HASHES = [
    "/api-auth/login/",
    "/api-auth/login",
    "/register",
    "/register/claim/",
    "/login/?next=/me/",
    "/%6Cogin/",
    "/signup",
    "/password-reset/MQ/set-password/",
    "/admin/login/?next=/admin/",
    "/admin/password_change/",
    "/admin/accounts/user/add/",
    "/admin/accounts/user/7/password/",
]
OTHERS = [
    ("GET", "/login/"),
    ("GET", "/password-reset/MQ/set-password/"),
    ("POST", "/api-auth/logout/"),
    ("POST", "/api-auth/logout-all/"),
    ("POST", "/register/guest/"),
    ("POST", "/event/reservations/"),
    ("POST", "/login/more/"),
]


def test_only_requests_that_hash_a_password_wait_in_that_queue(
    system: System, crowd: ThreadPoolExecutor
) -> None:
    with full_queue(system, {}, crowd):
        asked = [*[("POST", path) for path in HASHES], *OTHERS]
        answers = {ask: httpx.request(ask[0], system.url + ask[1], timeout=60).status_code for ask in asked}
    refused = [path for (_, path), status in answers.items() if status == 503]
    assert refused == HASHES
