"""The checks of `manage.py doctor`: everything that `manage.py up` needs, and all that it runs."""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
from django.core import checks
from django.db import DEFAULT_DB_ALIAS

from overlord.embedded import binaries, ports, program, servers
from overlord.embedded.binaries import MissingBinaryError
from overlord.embedded.state import Folder, FolderError
from overlord.findings import CLOCK_SECONDS, FREE_BYTES, FULL, Finding

MIN_PYTHON = (3, 11)
SIZES = """
SELECT pg_size_pretty(pg_database_size(current_database())),
       (SELECT string_agg(relname || ' ' || pg_size_pretty(size), ', ')
          FROM (SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class
                 WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace,
                                                              'information_schema'::regnamespace)
                 ORDER BY 2 DESC LIMIT 3) largest)
"""
MIN_OPEN_FILES = 10_000
POSTGRES_MAJOR = "18"
HANGS_AFTER_SECONDS = 30.0
LOG_LINES = 10
# /readyz names what is missing. For some of these names, LOGS has the program whose log can show the cause, and
# WAYS_OUT has the advice. WORKERS has the worker of each queue that /readyz can call silent.
LOGS = {"database": "postgres", "redis": "valkey", "sockets": "live"}
WAYS_OUT = {"sockets": "room for sockets (raise ulimit -n and start bin/up again)"}
WORKERS = {"live": "broadcasts", "expiry": "upkeep", "payments": "payments"}


def findings(folder: Folder) -> Iterator[Finding]:
    """Yield the result of each check, the most basic one first."""
    yield Finding(sys.version_info >= MIN_PYTHON, f"Python {platform.python_version()} (3.11 or later)")
    yield _binary("PostgreSQL", lambda: binaries.postgres_folder() / "postgres", "--version")
    yield _binary("Valkey", binaries.valkey, "--version")
    yield _binary("Caddy", binaries.caddy, "version")
    yield _space(folder)
    yield _open_files()
    if not folder.path.exists():
        yield Finding(False, f"{folder.path} does not exist: bin/up makes it")
        return
    try:
        folder.check()
        state = folder.load()
    except (FolderError, PermissionError) as error:
        yield Finding(False, str(error))
        return
    yield Finding(True, f"{folder.path} belongs to you and is writable")
    yield from _data(folder)
    running = folder.running()
    if running:
        yield Finding(True, f"Ticket Overlord is {running}")
        yield from _used_files(running.pid)
        yield from _hanging(folder)
    else:
        yield Finding(False, "Ticket Overlord is not running: bin/up starts it")
        yield from _taken_ports(state.ports)
    for finding in _services():
        # If nothing runs, the log of a server is shown only if it names a fatal error.
        is_shown = running or any("FATAL" in log_tail(folder, name) for name in finding.logs)
        yield finding if is_shown else replace(finding, logs=())
    if running and (running.serving or "").startswith("http"):
        yield from _servers(state.ports)
        yield _readiness(state.ports["shop"])
        yield from _warnings()


def _warnings() -> Iterator[Finding]:
    """Yield the messages of Django's checks of the database, such as roles that lack a permission."""
    for message in checks.run_checks(tags=[checks.Tags.database], databases=[DEFAULT_DB_ALIAS]):
        yield Finding(not message.is_serious(), " ".join(filter(None, (message.msg, message.hint))))


def log_tail(folder: Folder, name: str) -> str:
    """Return the last LOG_LINES lines of a program's log; "" if there is no log."""
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
        text = f"{name} is installed but does not run here: {error}"
        return Finding(False, f"{text}; remove .venv and start bin/up, which installs it for this machine")
    return Finding(True, f"{name}: {result.stdout.strip()}")


def _space(folder: Folder) -> Finding:
    there = folder.path if folder.path.exists() else Path(__file__)
    free = shutil.disk_usage(there).free
    text = f"{free // 1_000_000:,} MB of disk are free (500 MB are needed)"
    if free >= FREE_BYTES:
        return Finding(True, text)
    return Finding(False, f"{text}: make room where {there} lies; then the shop goes on by itself")


def _data(folder: Folder) -> Iterator[Finding]:
    """Yield the reasons, if any, why PostgreSQL cannot start with its data."""
    data = folder.path / "postgres"
    version_file = data / "PG_VERSION"
    try:
        if not version_file.exists():
            return
        version = version_file.read_text().strip()
    except PermissionError:
        yield Finding(
            False, f"{data} cannot be read: make it yours with chown, and run chmod -R u+rwX {data}"
        )
        return
    if version != POSTGRES_MAJOR:
        text = f"{data} is of PostgreSQL {version}, which PostgreSQL {POSTGRES_MAJOR} here cannot read"
        yield Finding(
            False,
            f"{text}: start the former version of Ticket Overlord and make a backup there,"
            f" move {data} away, and restore the backup (docs/operations.md)",
        )
    if data.stat().st_mode & 0o027:
        yield Finding(False, f"others may open {data}, so PostgreSQL refuses to start: chmod 700 '{data}'")


def _hanging(folder: Folder) -> Iterator[Finding]:
    """Yield a finding for each process of ours that is stopped, or no longer touches its liveness file."""
    for file in (folder.path / "liveness").glob("*.*"):
        if not file.suffix[1:].isdecimal():
            continue
        name, pid = file.stem, int(file.suffix[1:])
        with contextlib.suppress(psutil.Error, OSError):
            stopped = psutil.Process(pid).status() == psutil.STATUS_STOPPED
            if stopped or time.time() - file.stat().st_mtime > HANGS_AFTER_SECONDS:
                what = "is stopped" if stopped else "hangs"
                text = f"{name} {what} (pid {pid}); the supervisor replaces it within a minute"
                yield Finding(False, f"{text}, or you do: kill -9 {pid}", (name,))


def _servers(used: dict[str, int]) -> Iterator[Finding]:
    """Yield a finding for each server behind Caddy that does not answer."""
    for name in ("web", "logins", "door", "live"):
        if name in used and program.http_status(used[name], "/livez/") != 200:
            text = f"{name} does not answer on port {used[name]}; the supervisor replaces it within a minute"
            yield Finding(False, f"{text}, or its log says why it cannot", (name,))


def _clock(url: str) -> Finding:
    """Return whether this machine's clock and PostgreSQL's agree. Holds expire by PostgreSQL's clock."""
    try:
        before = time.time()
        with (
            contextlib.closing(psycopg2.connect(url, connect_timeout=3)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            [(theirs,)] = cursor.fetchall()
    except psycopg2.Error as error:
        return Finding(False, f"PostgreSQL's clock cannot be read: {str(error).strip()}")
    off = float(theirs) - (before + time.time()) / 2
    if abs(off) <= CLOCK_SECONDS:
        return Finding(True, "this clock and PostgreSQL's agree")
    return Finding(
        False, f"this clock and PostgreSQL's differ by {abs(off):.0f} s: set both by the same time server"
    )


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= MIN_OPEN_FILES
    text = f"{'any number of' if hard == resource.RLIM_INFINITY else f'{hard:,}'} files may be open"
    needed = f" ({MIN_OPEN_FILES:,} are needed)"
    if enough:
        return Finding(True, text + needed)
    return Finding(False, f"only {text}, which limits open pages{needed}: raise the hard limit of ulimit -n")


def _used_files(supervisor: int | None) -> Iterator[Finding]:
    """Yield a finding for each process of ours that can open only few more files: soon it refuses sockets."""
    for process in _descendants(supervisor):
        with contextlib.suppress(psutil.Error, OSError):
            used, limit = process.num_fds(), process.rlimit(psutil.RLIMIT_NOFILE)[0]
            if used >= limit * FULL:
                text = f"{process.name()} (pid {process.pid}) has {used:,} of {limit:,} files open"
                yield Finding(
                    False, f"{text}: it refuses more visitors. Raise ulimit -n and start bin/up again"
                )


def _descendants(pid: int | None) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.Error:
        return []


def _taken_ports(used: dict[str, int]) -> Iterator[Finding]:
    for name, port in used.items():
        if ports.taken(port):
            # This is not an error, because `up` chooses another port. But the address of the shop may change.
            yield Finding(
                True,
                f"port {port}, last used for {name}, is taken by {_listener(port)}; bin/up will choose another",
            )


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
        url = os.environ.get(variable)  # the settings have read .env and the env file into it
        if not url:
            yield Finding(False, f"{variable} is not set: start bin/up, which sets it, or set it in .env")
        elif answers(url):
            yield Finding(True, f"{name} answers")
            if variable == "DATABASE_URL":
                yield _sizes(url)
                yield _clock(url)
            elif not servers.redis_takes_writes(url):
                text = f"{name} takes no writes: its memory or its disk is full, or it is a replica"
                yield Finding(False, f"{text}. Payments, mails and live pages wait", (log,))
        elif variable == "DATABASE_URL" and (refusal := _refusal(url)):
            yield Finding(False, f"{name} {refusal}")
        else:
            text = f"{name} does not answer at the address in {variable}"
            yield Finding(False, f"{text}: start bin/up. If bin/up runs, it starts the server again", (log,))


def _refusal(url: str) -> str:
    """Return why PostgreSQL refuses a connection, and what to do; "" if it does not answer at all."""
    try:
        psycopg2.connect(url, connect_timeout=3).close()
    except psycopg2.Error as error:
        said = str(error).partition("FATAL:")[2].strip()
    else:
        return ""
    if "authentication failed" in said:
        return (
            "refuses the password in DATABASE_URL. The data is whole: restore the files env and state.json of the"
            " data folder from a copy, or correct the address in .env if it is set there"
        )
    if not said:
        return ""
    return (
        f"refuses connections ({said}). If it is starting, wait. If it has too many clients, end some of them"
    )


def _sizes(url: str) -> Finding:
    """Return the size of the database and of its largest tables."""
    try:
        connection = psycopg2.connect(url, connect_timeout=3)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(SIZES)
            [(total, largest)] = cursor.fetchall()
    except psycopg2.Error as error:
        return Finding(False, f"the size of the database cannot be read: {str(error).strip()}")
    return Finding(True, f"the database takes {total}; its largest tables: {largest or 'none'}")


def _readiness(port: int) -> Finding:
    ready, facts = program.readiness(port)
    if ready:
        return Finding(True, "the shop is ready")
    if not facts:
        text = "the shop does not answer; the supervisor starts its servers again, or their logs say why it cannot"
        return Finding(False, text, ("caddy", "web"))
    missing = [name for name in facts.get("missing", []) if name != "worker"]
    queues = facts.get("silent_queues", [])
    logs = [LOGS[name] for name in missing if name in LOGS]
    missing = [WAYS_OUT.get(name, name) for name in missing]
    logs += [WORKERS[queue] for queue in queues if queue in WORKERS]
    if set(queues) >= set(WORKERS):
        # All queues are silent, and each has its own worker. So the cause is beat, which sends tasks to each queue,
        # or no worker runs.
        workers, logs = ["messages of beat to any queue (it hangs, or no worker runs)"], []
    else:
        workers = [f"a worker for the queue {queue}" for queue in queues]
    if queues:
        logs.append("beat")
    text = f"the shop is not ready; missing: {', '.join(missing + workers)}"
    return Finding(
        False, f"{text}. A process that has ended or hangs starts again within a minute", tuple(logs)
    )
