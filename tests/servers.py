"""Start a PostgreSQL and a Valkey for the tests, and remove them at the end: a pytest plugin.

It is loaded first (`-p tests.servers`), since the settings read the addresses of the servers as soon as anything
imports them. Set DATABASE_URL and REDIS_URL to use servers of your own.

Valkey starts at once. PostgreSQL takes seconds, so it starts before the first test that needs it: a test marked
`django_db` or `processes`, or that has the fixture `postgres`.

With `-n` (pytest-xdist) it runs in the controller and in each worker. The controller runs no test and starts no
server; each worker starts servers of its own, so that no worker sees what another one does.
"""

import fcntl
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO

import psycopg2
import pytest

from overlord.embedded import binaries, ports, postgres_home, processes
from overlord.embedded.processes import Child
from overlord.embedded.servers import Postgres, Valkey

PREFIX = "overlord-tests-"
# Nobody needs the data of tests after a crash of the machine.
QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "300", "scram_iterations": "1"}

# The PostgreSQL that has not started yet, and the socket that holds its port.
_described: list[tuple[Postgres, socket.socket]] = []
_started: list[Child] = []
_folders: list[Path] = []
_locks: list[IO[str]] = []  # an open file holds the lock of a folder while it is in use


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    os.environ["ENVIRONMENT"] = "test"
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    if _is_controller(early_config):
        _name_no_servers()
    else:
        _start_servers()
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` means: one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def _is_controller(config: pytest.Config) -> bool:
    return bool(config.known_args_namespace.numprocesses) and not _is_worker()


def _name_no_servers() -> None:
    """Set addresses for the settings of the controller, at which there is no server."""
    brought = [name for name in ("DATABASE_URL", "REDIS_URL") if name in os.environ]
    if brought:
        raise pytest.UsageError(f"-n starts servers for each worker: unset {' and '.join(brought)}")
    os.environ["DATABASE_URL"] = "postgres://of.a.worker/none"
    os.environ["REDIS_URL"] = "redis://of.a.worker"


def _start_servers() -> None:
    _remove_abandoned_folders()
    folder = _make_folder()
    os.environ["OVERLORD_DATA"] = str(folder)
    if _is_worker() or "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _describe_postgres(folder)
    if _is_worker() or "REDIS_URL" not in os.environ:
        os.environ["REDIS_URL"] = _start_valkey(folder)


def pytest_unconfigure() -> None:
    processes.stop(reversed(_started))
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    for _postgres, place in _described:
        place.close()
    for lock in _locks:
        lock.close()


def uses_database(item: pytest.Item) -> bool:
    """Return whether a test needs PostgreSQL, by its marks and fixtures."""
    return item.get_closest_marker("django_db") is not None or "postgres" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def postgres() -> None:
    """Start PostgreSQL. The fixture that creates Django's test database asks for this one."""
    start_postgres()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("processes"):  # the processes of a test may connect, whatever its fixtures are
        start_postgres()


def start_postgres() -> None:
    """Start the run's own PostgreSQL unless it runs already."""
    while _described:
        postgres, place = _described.pop()
        logs = _folders[0] / "logs"
        postgres.create(logs)
        place.close()
        _started.append(processes.start(postgres.program(), logs))
        _started[-1].wait_ready()
        postgres.create_database()
        _hash_password_quickly(postgres)


def _hash_password_quickly(postgres: Postgres) -> None:
    """Set the password again, as a hash of one iteration: tests log in thousands of times."""
    with closing(psycopg2.connect(postgres.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER PASSWORD %s", [postgres.password])


def _describe_postgres(folder: Path) -> str:
    """Choose where PostgreSQL will listen, and return its address."""
    home = postgres_home.find(folder)
    if home.external_folder:
        _folders.append(home.external_folder)
    port = ports.any_free()
    place = socket.socket()
    # Bound without SO_REUSEADDR, so that no other run can take this port meanwhile.
    place.bind((ports.HOST, port))
    described = Postgres(home=home, port=port, password=secrets.token_urlsafe(), settings=QUICK)
    _described.append((described, place))
    return described.url


def _start_valkey(folder: Path) -> str:
    valkey = Valkey(
        binary=binaries.valkey(),
        data=folder / "valkey",
        port=ports.any_free(),
        password=secrets.token_urlsafe(),
    )
    _started.append(processes.start(valkey.program(), folder / "logs"))
    _started[-1].wait_ready()
    return valkey.url


def valkey_crash_and_lose_all() -> None:
    """Kill the run's own Valkey, delete its data, and start it again at the same address."""
    [child] = [child for child in _started if child.program.name == "valkey"]
    child.kill()
    folder = _folders[0]
    for kept in (folder / "valkey").rglob("*"):
        if kept.is_file() and kept.suffix != ".conf":
            kept.unlink()
    again = processes.start(child.program, folder / "logs")
    _started[_started.index(child)] = again
    again.wait_ready()


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    _folders.append(folder)
    unlocked = folder / "lock.new"  # another run removes a folder whose `lock` it can lock
    lock = unlocked.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unlocked.rename(folder / "lock")
    _locks.append(lock)
    return folder


def _remove_abandoned_folders() -> None:
    """Remove the folders of runs that were killed: the kernel has released their locks."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        if path.stat().st_uid != os.geteuid():
            continue
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path.parent, ignore_errors=True)
