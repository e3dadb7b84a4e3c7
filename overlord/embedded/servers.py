"""Create, configure and check the PostgreSQL and the Valkey of a data folder."""

import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from overlord.embedded import disk, ports, processes
from overlord.embedded.ports import HOST
from overlord.embedded.postgres_home import PostgresHome
from overlord.embedded.processes import Program, Question
from overlord.embedded.state import write_private

if TYPE_CHECKING:
    import redis

DATABASE = "overlord"
ROLE = "overlord"
SCRATCH = "postgres.new-"
VALKEY_DATA = "appendonlydir"  # the folder in which Valkey keeps its data
VALKEY_IS_READY = "Ready to accept connections"  # what Valkey writes into its log
PROBE_KEY = "overlord:takes-writes"
SSL_REQUEST = bytes.fromhex("00000008 04d2162f")  # PostgreSQL answers this with one byte, before any log-in
# Constraints often refuse statements, as they should. The statements and the details of these errors contain e-mail
# addresses, tokens and hashes of passwords, which no log may contain.
PRIVATE_LOG = {"log_min_error_statement": "panic", "log_error_verbosity": "terse"}
# The servers inherit no variables: the user's language, time zone and PG... variables must not change them.
SERVER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL that listens on a port of this machine and asks for a password."""

    home: PostgresHome
    port: int
    password: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    def create(self, log_dir: Path) -> None:
        """Create the data folder unless it exists. If that fails, leave no part of it; raise ProcessFailedError."""
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
        """Return the server's program, for `processes.start`."""
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            **PRIVATE_LOG,
            **self.settings,
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return Program(
            name="postgres",
            argv=(str(self.home.programs / "postgres"), "-D", str(self.home.data), *options),
            env=SERVER_ENV,
            cwd=self.home.data.parent,
            prepare=self._remove_pid_file,
            ready=lambda: postgres_answers(self.url.removesuffix(DATABASE) + "postgres"),
            stop_signal=signal.SIGINT,  # fast: with SIGTERM, PostgreSQL would wait until clients disconnect
            identity=self.home.identity,
            match=self.home.process_match,
            data=self.home.data,
            port=self.port,
            question=Question(self.port, SSL_REQUEST),
            ready_seconds=600,  # to recover after a crash
            grace=60,  # to write a checkpoint
        )

    def create_database(self) -> None:
        """Create the application's database in the running server, unless it exists."""
        connection = psycopg2.connect(self.url.removesuffix(DATABASE) + "postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()

    def _remove_pid_file(self) -> None:
        """Remove the file by which PostgreSQL finds out that it is already running.

        The supervisor knows that it is not. PostgreSQL only checks whether there is a process with the pid in the
        file, and after a reboot this may be any process. It also refuses to start if the file is incomplete.
        """
        (self.home.data / "postmaster.pid").unlink(missing_ok=True)

    def _initdb(self, data: Path, password_file: Path) -> Program:
        # The built-in locale is the same on every system.
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
    """A Valkey that listens on a port of this machine and asks for a password."""

    binary: Path
    data: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def program(self) -> Program:
        """Return the server's program, for `processes.start`."""
        return Program(
            name="valkey",
            argv=(str(self.binary), str(self._config)),
            env=SERVER_ENV,
            cwd=self.data,
            prepare=self._configure,
            repair=self._set_data_aside,
            data=self.data,
            port=self.port,
            question=Question(self.port, b"PING\r\n"),
            ready=self._answers,
            ready_seconds=600,  # to load its data
            grace=10,
        )

    def _answers(self) -> bool:
        """Return whether Valkey answers now, and has loaded its data. This needs no client library."""
        try:
            with socket.create_connection((HOST, self.port), timeout=3) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def _configure(self) -> None:
        """Write the configuration file. It contains the password, because `ps` shows the arguments of a process."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.data}"',
            "appendonly": "yes",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",  # a title would overwrite the environment, by which processes are found
        }
        write_private(self._config, "".join(f"{name} {value}\n" for name, value in settings.items()))

    def _set_data_aside(self, log: str) -> str:
        """Set the data aside if Valkey ended before it was ready; return a sentence, or "" if nothing was done.

        Do nothing if the port is taken or the disk is full. Otherwise the data may be damaged. The shop makes all
        of it again, so nobody has to wait until it is repaired.
        """
        data, aside = self.data / VALKEY_DATA, self.data / f"{VALKEY_DATA}.damaged"
        has_another_cause = VALKEY_IS_READY in log or ports.taken(self.port) or disk.is_full(self.data)
        if has_another_cause or not data.exists():
            return ""
        shutil.rmtree(aside, ignore_errors=True)
        data.rename(aside)
        return f"Valkey did not start with its data, which is in {aside} now. The shop makes all of it again."

    @property
    def _config(self) -> Path:
        return self.data / "valkey.conf"


def postgres_answers(url: str) -> bool:
    """Return whether PostgreSQL accepts a connection at the address now."""
    try:
        psycopg2.connect(url, connect_timeout=3).close()
    except psycopg2.Error:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Return whether Redis answers at the address now, and has loaded its data."""
    return _redis_does(url, lambda client: client.ping())


def redis_takes_writes(url: str) -> bool:
    """Return whether Redis at the address accepts writes now. If its memory is full, it only answers reads."""
    return _redis_does(url, lambda client: client.set(PROBE_KEY, "1", ex=1))


def _redis_does(url: str, call: "Callable[[redis.Redis], object]") -> bool:
    import redis  # only now: it needs 10 MB, and the supervisor calls this only if a process hangs or has ended

    from overlord.redis_address import RedisAddress, client_close

    client = RedisAddress(url).client(socket_timeout=3, socket_connect_timeout=3)
    try:
        return bool(call(client))
    except redis.RedisError:
        return False
    finally:
        client_close(client)
