"""A pytest plugin: gives the tests a PostgreSQL and a Valkey of their own, and takes them away again.

It is loaded first (`-p tests.servers`), since the settings read their addresses as soon as anything imports
them. Whoever sets DATABASE_URL and REDIS_URL brings the servers and gets none.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

import pytest

from overlord.embedded import binaries, ports, postgres_home, processes
from overlord.embedded.processes import Child
from overlord.embedded.servers import Postgres, Valkey

PREFIX = "overlord-tests-"
# What a crash of the machine would lose is of no use to anyone.
QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}

_started: list[Child] = []
_folders: list[Path] = []
_locks: list[IO[str]] = []  # each is held, by being open, as long as its folder is in use


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    _remove_abandoned_folders()
    folder = _make_folder()
    os.environ["ENVIRONMENT"] = "test"
    os.environ["OVERLORD_DATA"] = str(folder)
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _start_postgres(folder)
    if "REDIS_URL" not in os.environ:
        os.environ["REDIS_URL"] = _start_valkey(folder)
    return (yield)


def pytest_unconfigure() -> None:
    processes.stop(reversed(_started))
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    for lock in _locks:
        lock.close()


def _start_postgres(folder: Path) -> str:
    home = postgres_home.find(folder)
    if home.external_folder:
        _folders.append(home.external_folder)
    postgres = Postgres(home=home, port=ports.any_free(), password=secrets.token_urlsafe(), settings=QUICK)
    postgres.create(folder / "logs")
    _started.append(processes.start(postgres.program(), folder / "logs"))
    _started[-1].wait_ready()
    postgres.create_database()
    return postgres.url


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
    """Kills the run's own Valkey, throws away what it kept, and starts it again where it was."""
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
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    _locks.append(lock)
    return folder


def _remove_abandoned_folders() -> None:
    """Will remove the folders of runs that were killed; the kernel let go of their locks."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        if path.stat().st_uid != os.geteuid():
            continue
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path.parent, ignore_errors=True)
