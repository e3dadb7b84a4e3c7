"""`manage.py doctor`: looks at all that `manage.py up` needs, and says in plain words what is wrong."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from overlord.embedded import binaries, ports, program, servers
from overlord.embedded.binaries import MissingBinaryError
from overlord.embedded.state import Folder, FolderError

OLDEST_PYTHON = (3, 11)
NEEDED_BYTES = 500_000_000
LOG_LINES = 10
# Which log may tell why: by what /readyz names missing, and by the queue that is silent.
LOGS = {"database": "postgres", "redis": "valkey"}
WORKERS = {"live": "broadcasts", "expiry": "upkeep", "payments": "payments"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `logs` names the programs whose logs may tell more."""

    good: bool
    text: str
    logs: tuple[str, ...] = ()


def findings(folder: Folder) -> Iterator[Finding]:
    """Will look at one thing after the other, from the ground up."""
    yield Finding(sys.version_info >= OLDEST_PYTHON, f"Python {platform.python_version()} (3.11 or later)")
    yield _binary("PostgreSQL", lambda: binaries.postgres_folder() / "postgres", "--version")
    yield _binary("Valkey", binaries.valkey, "--version")
    yield _binary("Caddy", binaries.caddy, "version")
    yield _space(folder)
    if not folder.path.exists():
        yield Finding(False, f"{folder.path} is not there: bin/up makes it")
        return
    try:
        folder.check()
        memory = folder.recall()
    except (FolderError, PermissionError) as error:
        yield Finding(False, str(error))
        return
    yield Finding(True, f"{folder.path} is ours")
    running = folder.running()
    if running:
        yield Finding(True, f"manage.py up is {running}")
    else:
        yield Finding(False, "manage.py up does not run: bin/up starts it")
        yield from _taken_ports(memory.ports)
    for finding in _services():
        # Of what does not run, the log only tells how it ended well.
        yield finding if running else replace(finding, logs=())
    if running and (running.serving or "").startswith("http"):
        yield _readiness(memory.ports["shop"])


def log_tail(folder: Folder, name: str) -> str:
    """Will give the last lines of a program's log, however long it is."""
    try:
        with (folder.logs / f"{name}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_LINES:])
    except FileNotFoundError:
        return ""


def _binary(name: str, find: Callable[[], Path], version_option: str) -> Finding:
    try:
        result = subprocess.run(
            [find(), version_option], capture_output=True, text=True, check=True, timeout=20
        )
    except MissingBinaryError as error:
        return Finding(False, str(error))
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(False, f"{name} is installed but does not run here: {error}")
    return Finding(True, f"{name}: {result.stdout.strip()}")


def _space(folder: Folder) -> Finding:
    there = folder.path if folder.path.exists() else Path(__file__)
    free = shutil.disk_usage(there).free
    return Finding(free >= NEEDED_BYTES, f"{free // 1_000_000:,} MB of disk are free (500 MB are needed)")


def _taken_ports(remembered: dict[str, int]) -> Iterator[Finding]:
    for name, port in remembered.items():
        if ports.taken(port):
            # Nothing is wrong yet: `up` chooses another one, but an address someone noted down changes.
            yield Finding(True, f"port {port}, last used for {name}, is taken by {_listener(port)}")


def _listener(port: int) -> str:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another user's program"


def _services() -> Iterator[Finding]:
    for name, variable, answers, log in (
        ("PostgreSQL", "DATABASE_URL", servers.postgres_answers, "postgres"),
        ("Redis (Valkey)", "REDIS_URL", servers.redis_answers, "valkey"),
    ):
        url = os.environ.get(variable)  # the settings have put there what .env and the env file say
        if not url:
            yield Finding(False, f"{variable} is not set: bin/up sets it, or write it into .env")
        elif answers(url):
            yield Finding(True, f"{name} answers")
        else:
            yield Finding(False, f"{name} does not answer where {variable} says", (log,))


def _readiness(port: int) -> Finding:
    ready, facts = program.readiness(port)
    if ready:
        return Finding(True, "the shop is ready to sell")
    if not facts:
        return Finding(False, "the shop does not answer", ("caddy", "web"))
    missing = [name for name in facts.get("missing", []) if name != "worker"]
    queues = facts.get("silent_queues", [])
    logs = [LOGS[name] for name in missing if name in LOGS]
    logs += [WORKERS[queue] for queue in queues if queue in WORKERS]
    silent = [f"a worker for {queue}" for queue in queues]
    return Finding(False, f"the shop misses {', '.join(missing + silent)}", (*logs, "beat"))
