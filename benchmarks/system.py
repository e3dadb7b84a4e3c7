"""Start a system for benchmarks: PostgreSQL and Valkey as `bin/up` has them, and our processes on them.

Everything is in a temporary folder and ends with the run.
"""

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from overlord.embedded import binaries, ports, postgres_home, processes, program
from overlord.embedded.processes import Child, Program
from overlord.embedded.servers import DATABASE, Postgres, Valkey

OURS = "overlord.wsgi:application"
EMPTY_DATABASE = f"{DATABASE}_empty"  # migrated and without rows; benchmarks copy it


@dataclass
class System:
    """The servers, and the processes that use them, by name."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    env: dict[str, str]
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, *programs: Program) -> None:
        """Start programs together and wait until each is ready."""
        started = [processes.start(described, self.folder / "logs") for described in programs]
        self.children |= {child.program.name: child for child in started}
        for child in started:
            child.wait_ready()

    def start_web(self, name: str, application: str = OURS, **env: str) -> int:
        """Start Granian as `bin/up` does, for this WSGI application, and return its port."""
        port = ports.any_free()
        described = program.web(port, env={**self.env, **env})
        self.start(replace(described, name=name, argv=(*described.argv[:-1], application)))
        return port

    def start_logins(self) -> int:
        """Start the Granian for log-ins, and return its port."""
        port = ports.any_free()
        self.start(program.logins(port, env=self.env))
        return port

    def start_door(self) -> int:
        """Start the Granian for gates, and return its port."""
        port = ports.any_free()
        self.start(program.door(port, env=self.env))
        return port

    def start_live(self) -> int:
        """Start Daphne and return its port."""
        port = ports.any_free()
        self.start(program.live(port, env=self.env))
        return port

    def start_shop(self) -> int:
        """Start all that `bin/up` starts, and return the port of Caddy, the front server."""
        self.start_workers()
        port = ports.any_free()
        web, logins = self.start_web("web"), self.start_logins()
        door, live = self.start_door(), self.start_live()
        self.start(
            program.caddy(
                port,
                web_port=web,
                logins_port=logins,
                door_port=door,
                live_port=live,
                static=program.STATIC_ROOT,
                data_dir=self.folder,
            )
        )
        return port

    def start_workers(self) -> None:
        """Start the Celery workers and beat."""
        env = self.env
        self.start(
            program.payments(env=env),
            program.broadcasts(env=env),
            program.upkeep(env=env),
            program.beat(env=env),
        )

    def stop(self, *names: str) -> None:
        """Stop the processes of these names; without names, all but the servers."""
        ending = names or [name for name in self.children if name not in ("postgres", "valkey")]
        processes.stop([self.children.pop(name) for name in ending])

    def group(self, name: str) -> list[psutil.Process]:
        """Return a process with all its descendants, such as PostgreSQL's backends."""
        parent = psutil.Process(self.children[name].pid)
        return [parent, *parent.children(recursive=True)]

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return str(self.postgres.home.programs / name)


@contextlib.contextmanager
def running() -> Iterator[System]:
    """Yield a system whose two servers run, with a migrated database and Django set up on it."""
    folder = Path(tempfile.mkdtemp(prefix="overlord-bench-")).resolve()
    home = postgres_home.find(folder)
    # The benchmark `lag` needs the times of commits. Everything else is as `bin/up` has it.
    settings = {"track_commit_timestamp": "on"}
    postgres = Postgres(home=home, port=ports.any_free(), password=secrets.token_urlsafe(), settings=settings)
    valkey = Valkey(
        binary=binaries.valkey(),
        data=folder / "valkey",
        port=ports.any_free(),
        password=secrets.token_urlsafe(),
    )
    env = program.environment(
        database_url=postgres.url, redis_url=valkey.url, secret_key=secrets.token_urlsafe(50), data_dir=folder
    )
    env["RATE_LIMITS"] = "off"  # all load comes from one address
    system = System(folder=folder, postgres=postgres, valkey=valkey, env=env)
    processes.adopt_orphans()
    try:
        postgres.create(folder / "logs")
        system.start(postgres.program(), valkey.program())
        postgres.create_database()
        processes.run(program.manage("migrate", "--no-input", env=env), folder / "logs")
        processes.run(program.collectstatic(env=env), folder / "logs")
        _set_up_django(env, log=folder / "logs" / "bench.log")
        _keep_empty_database()
        yield system
    finally:
        with contextlib.suppress(ImportError):
            from django.db import connections

            connections.close_all()
        processes.stop(reversed(list(system.children.values())))
        for path in filter(None, (folder, home.external_folder)):
            shutil.rmtree(path, ignore_errors=True)


def _keep_empty_database() -> None:
    """Copy the migrated database while nothing else uses it; a copy takes less than migrating another."""
    from overlord.kernel import db

    db.rows(f"CREATE DATABASE {EMPTY_DATABASE} TEMPLATE {DATABASE}")


def _set_up_django(env: dict[str, str], *, log: Path) -> None:
    """Set up Django in this process. Its log goes to a file, as those of the other processes do."""
    os.environ |= env
    os.environ["DJANGO_SETTINGS_MODULE"] = "overlord.settings"
    import django

    django.setup()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log.open("a"))
