"""A rush of buyers takes no thread of the gates: scans are answered while the sale's processes answer nobody."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from overlord.embedded import ports, processes, program
from tests.system import System
from tests.visitors import type_on_sale

pytestmark = pytest.mark.processes


@pytest.fixture
def keys() -> str:
    return f"/door/keys/?event={type_on_sale().event_id}"


@contextmanager
def sale_stopped(system: System) -> Iterator[None]:
    """Stop the web processes, as if all their threads were busy."""
    group = system.child("web").pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def ask(url: str) -> int:
    return httpx.get(url, timeout=60).status_code


def test_a_gate_is_answered_while_the_sale_is_not(system: System, keys: str) -> None:
    with ThreadPoolExecutor() as crowd, sale_stopped(system):
        buyer = crowd.submit(ask, f"{system.url}/login/")
        assert ask(system.url + keys) == 200
        assert not buyer.done()


def test_control_with_the_sales_processes_a_gate_waits_too(system: System, keys: str, tmp_path: Path) -> None:
    web = int(system.child("web").program.argv[system.child("web").program.argv.index("--port") + 1])
    port = ports.any_free()
    caddy = program.caddy(
        port, web_port=web, logins_port=web, door_port=web, live_port=web, static=tmp_path, data_dir=tmp_path
    )
    child = processes.start(caddy, tmp_path)
    try:
        child.wait_ready()
        with ThreadPoolExecutor() as crowd, sale_stopped(system):
            gate = crowd.submit(ask, f"http://127.0.0.1:{port}{keys}")
            assert ask(system.url + keys) == 200
            assert not gate.done()
    finally:
        processes.stop([child])
