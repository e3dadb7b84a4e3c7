"""PgBouncer in front of the tests' PostgreSQL, in transaction mode: each transaction may get another connection."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from overlord.embedded import ports
from tests.system import eventually

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
REASON = "PgBouncer is not installed (Debian's package pgbouncer)."


@contextmanager
def pgbouncer(folder: Path, *, server: dict[str, Any], ignores: str = "") -> Iterator[int]:
    """Run PgBouncer in front of a server (`host`, `port`, `user`, `password`) and yield its port.

    It has one connection to the server, which all sessions share. `ignores` are start-up parameters that it drops.
    """
    assert BINARY is not None
    port = ports.any_free()
    target = " ".join(f"{name}={server[name]}" for name in ("host", "port", "user", "password"))
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 1\n"
        f"admin_users = {server['user']}\nignore_startup_parameters = {ignores}\n"
    )
    config.chmod(0o600)
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    with (folder / "pgbouncer.log").open("w") as log:
        process = subprocess.Popen([BINARY, *as_nobody, str(config)], stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def reconnect(port: int, *, user: str) -> None:
    """Let PgBouncer open new connections to the server, since a role's new settings need them."""
    admin = psycopg2.connect(host="127.0.0.1", port=port, user=user, dbname="pgbouncer")
    admin.autocommit = True
    try:
        with admin.cursor() as cursor:
            cursor.execute("RECONNECT")
    finally:
        admin.close()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
