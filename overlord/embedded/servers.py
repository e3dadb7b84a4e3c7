"""The private PostgreSQL and Valkey: how they are made, configured and asked whether they answer."""

import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import redis

from overlord.embedded import processes
from overlord.embedded.ports import HOST
from overlord.embedded.postgres_home import PostgresHome
from overlord.embedded.processes import Program

DATABASE = "overlord"
ROLE = "overlord"
SCRATCH = "postgres.new-"
# Small on purpose: whatever language, time zone or PostgreSQL variables the user has set stay outside.
SERVER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL of our own on a port of this machine, reached with a password."""

    home: PostgresHome
    port: int
    password: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    def create(self, log_dir: Path) -> None:
        """Will make the data folder unless it is there, whole or not at all; raises ProcessFailedError."""
        if self.home.data.exists():
            return
        parent = self.home.data.parent
        for unfinished in parent.glob(f"{SCRATCH}*"):
            shutil.rmtree(unfinished)
        with tempfile.TemporaryDirectory(dir=parent, prefix=SCRATCH) as scratch:
            new = Path(scratch) / "data"
            password_file = Path(scratch) / "password"
            password_file.touch(mode=0o600)
            password_file.write_text(self.password)
            self.home.hand_over(Path(scratch), password_file)
            processes.run(self._initdb(new, password_file), log_dir)
            new.rename(self.home.data)

    def program(self) -> Program:
        """Will describe the server, for `processes.start`."""
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            **self.settings,
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return Program(
            name="postgres",
            argv=(str(self.home.programs / "postgres"), "-D", str(self.home.data), *options),
            env=SERVER_ENV,
            cwd=self.home.data.parent,
            prepare=self._forget_pid,
            ready=lambda: postgres_answers(self.url.removesuffix(DATABASE) + "postgres"),
            stop_signal=signal.SIGINT,  # the fast shutdown: SIGTERM would wait for clients to leave
            identity=self.home.identity,
            workplace=self.home.workplace,
        )

    def create_database(self) -> None:
        """Will make the database in the running server unless it is there."""
        connection = psycopg2.connect(self.url.removesuffix(DATABASE) + "postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()

    def _forget_pid(self) -> None:
        """Will remove the file by which PostgreSQL believes that it runs already.

        Whoever starts it knows that it does not. PostgreSQL itself only looks whether some process has the
        number written there, which after a reboot may be anybody's, and gives up at a file cut short.
        """
        (self.home.data / "postmaster.pid").unlink(missing_ok=True)

    def _initdb(self, data: Path, password_file: Path) -> Program:
        # The built-in locale is the same everywhere, whether or not the system has the user's.
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        access = ("--username", ROLE, "--auth", "scram-sha-256", "--pwfile", str(password_file))
        return Program(
            name="postgres-create",
            argv=(str(self.home.programs / "initdb"), "-D", str(data), "-E", "UTF8", *locale, *access),
            env=SERVER_ENV,
            cwd=data.parent,
            identity=self.home.identity,
        )


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """A Valkey of our own on a port of this machine, reached with a password."""

    binary: Path
    data: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def program(self) -> Program:
        """Will describe the server, for `processes.start`."""
        return Program(
            name="valkey",
            argv=(str(self.binary), str(self._config)),
            env=SERVER_ENV,
            cwd=self.data,
            prepare=self._configure,
            ready=lambda: redis_answers(self.url),
        )

    def _configure(self) -> None:
        """Will write the configuration, which keeps the password out of the list of processes."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.data}"',
            "appendonly": "yes",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",  # it would overwrite the mark by which we know our processes
        }
        self._config.touch(mode=0o600)
        self._config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    @property
    def _config(self) -> Path:
        return self.data / "valkey.conf"


def postgres_answers(url: str) -> bool:
    """Will say whether a PostgreSQL takes a connection there now."""
    try:
        psycopg2.connect(url, connect_timeout=3).close()
    except psycopg2.Error:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Will say whether a Redis answers there now, its data loaded."""
    client = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
