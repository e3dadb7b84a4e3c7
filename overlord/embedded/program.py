"""Describe the processes of the application: how each is started, and how to find out that it is ready."""

import http.client
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from overlord.embedded import binaries, servers
from overlord.embedded.ports import HOST
from overlord.embedded.processes import Program, Question

ROOT = Path(__file__).resolve().parents[2]
STATIC_ROOT = ROOT / "static"  # as in the settings
# The niceness of the gates' process: three times the CPU of others on busy cores, as in docker-compose.yml.
FIRST = -5
CADDYFILE = Path(__file__).with_name("Caddyfile")
# Caddy itself answers a request without Host by 400, whatever the servers behind it do.
WITHOUT_HOST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


def environment(*, database_url: str, redis_url: str, secret_key: str, data_dir: Path) -> dict[str, str]:
    """Return the environment of our processes: that of this process, with these servers and secrets."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secret_key,
        "OVERLORD_DATA": str(data_dir),
        "PYTHONUNBUFFERED": "1",
        # `migrate` has run Django's checks. To run them again, each worker would write to memory that it shares.
        "CELERY_SKIP_CHECKS": "1",
    }


def manage(*arguments: str, env: Mapping[str, str]) -> Program:
    """Describe a `manage.py` command, for `processes.run`."""
    argv = (sys.executable, "manage.py", *arguments)
    return Program(name=arguments[0], argv=argv, env=env, cwd=ROOT, forked=True)


def collectstatic(*, env: Mapping[str, str]) -> Program:
    """Describe the command that names and compresses the static files. It needs no server."""
    return manage("collectstatic", "--no-input", "--verbosity", "0", env=env)


def web(port: int, *, env: Mapping[str, str]) -> Program:
    """Describe Granian, which serves HTTP: two processes of four threads, each with its database connection."""
    return _python(
        "web",
        f"granian --interface wsgi --host {HOST} --port {port} --no-ws --log-level warning"
        " --workers 2 --blocking-threads 4 --backlog 1024 --backpressure 512"
        # Room for all headers that Caddy passes on, so that the application can refuse them with a problem.
        " --http1-buffer-size 1200000"
        # Without these options a killed worker ends the server, and one that hangs keeps it from stopping.
        " --respawn-failed-workers --respawn-interval 0.1 --workers-kill-timeout 3"
        " overlord.wsgi:application",
        env=env,
        port=port,
    )


def logins(port: int, *, env: Mapping[str, str]) -> Program:
    """Describe a second Granian, for log-ins, which hash passwords: one process, which yields the CPU to the sale.

    Four threads are enough to keep the cores of a small machine busy, and each takes 19 MiB while it hashes. Caddy
    limits how many requests wait (`Caddyfile`).
    """
    return _python(
        "logins",
        f"granian --interface wsgi --host {HOST} --port {port} --no-ws --log-level warning"
        " --workers 1 --blocking-threads 4 --backlog 1024 --backpressure 512"
        " --http1-buffer-size 1200000"
        " --respawn-failed-workers --respawn-interval 0.1 --workers-kill-timeout 3"
        " overlord.logins:application",
        env=env,
        port=port,
    )


def door(port: int, *, env: Mapping[str, str]) -> Program:
    """Describe a third Granian, for gates: one process, so that no scan waits behind a rush of buyers.

    People wait at a gate, and a scan needs little CPU. So this process gets the CPU before the sale does, where
    the system allows that (`niceness`).
    """
    return _python(
        "door",
        f"granian --interface wsgi --host {HOST} --port {port} --no-ws --log-level warning"
        " --workers 1 --blocking-threads 4 --backlog 1024 --backpressure 512"
        " --http1-buffer-size 1200000"
        " --respawn-failed-workers --respawn-interval 0.1 --workers-kill-timeout 3"
        " overlord.wsgi:application",
        env=env,
        port=port,
        niceness=FIRST,
    )


def live(port: int, *, env: Mapping[str, str]) -> Program:
    """Describe Daphne, which serves WebSockets."""
    return _python(
        "live",
        f"realtime.gateway.server -b {HOST} -p {port} overlord.asgi:application",
        env=env,
        port=port,
    )


def payments(*, env: Mapping[str, str]) -> Program:
    """Describe the worker that calls payment gateways: PAYMENTS_AT_ONCE threads, which wait most of the time."""
    return _worker("payments", queues="payments", concurrency=None, env=env)


def broadcasts(*, env: Mapping[str, str]) -> Program:
    """Describe the worker that sends live state. It does nothing else, so that no long task delays it."""
    return _worker("broadcasts", queues="live", concurrency=2, env=env)


def upkeep(*, env: Mapping[str, str]) -> Program:
    """Describe the worker that expires holds, sends mail and does periodic work."""
    return _worker("upkeep", queues="expiry,upkeep,mail,mailings", concurrency=6, env=env)


def beat(*, env: Mapping[str, str]) -> Program:
    """Describe beat, which starts periodic tasks. Its schedule is in memory, because a file could be outdated."""
    return _python(
        "beat",
        "celery -A overlord beat --scheduler overlord.worker_liveness:BeatScheduler --pidfile= --loglevel warning",
        env=env,
    )


def caddy(
    port: int,
    *,
    web_port: int,
    logins_port: int,
    door_port: int,
    live_port: int,
    static: Path,
    data_dir: Path,
    pictures: str = "",
    trusted_proxies: str = "",
) -> Program:
    """Describe Caddy, the front server, on a port of this machine. Its environment holds no secret.

    `pictures` is the folder of the uploaded ones. If it is empty, they are in the data folder.
    """
    return Program(
        name="caddy",
        argv=(str(binaries.caddy()), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
        env={
            "OVERLORD_SITE": f"http://:{port}",
            "OVERLORD_BIND": HOST,
            "OVERLORD_WEB": HOST,
            "OVERLORD_WEB_PORT": str(web_port),
            "OVERLORD_LOGINS": HOST,
            "OVERLORD_LOGINS_PORT": str(logins_port),
            "OVERLORD_DOOR": HOST,
            "OVERLORD_DOOR_PORT": str(door_port),
            "OVERLORD_LIVE": HOST,
            "OVERLORD_LIVE_PORT": str(live_port),
            "OVERLORD_STATIC": str(static),
            "OVERLORD_PICTURES": pictures or str(data_dir / "pictures"),
            "OVERLORD_TRUSTED_PROXIES": trusted_proxies,
            "HOME": str(data_dir),
            "XDG_DATA_HOME": str(data_dir),
            "XDG_CONFIG_HOME": str(data_dir),
        },
        cwd=ROOT,
        port=port,
        question=Question(port, WITHOUT_HOST),
        ready=lambda: http_status(port, "/livez/") == 200,
    )


def http_status(port: int, path: str) -> int:
    """Return the HTTP status that a server on this machine answers with, or 0 when it does not answer."""
    return _get(port, path)[0]


def readiness(port: int) -> tuple[bool, dict[str, Any]]:
    """Return whether the whole system can sell, and the facts of `/readyz` (empty when it does not answer)."""
    status, body = _get(port, "/readyz/")
    try:
        facts = json.loads(body)
    except ValueError:
        facts = {}
    return status == 200, facts if isinstance(facts, dict) else {}


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _worker(name: str, *, queues: str, concurrency: int | None, env: Mapping[str, str]) -> Program:
    """Describe a Celery worker with this number of threads, or if that is None, the number in the settings."""
    node = f"{name}@{socket.gethostname()}"
    threads = "--pool threads" if concurrency is None else f"--pool threads -c {concurrency}"
    return _python(
        name,
        f"celery -A overlord worker -Q {queues} -n {node} {threads} --loglevel warning"
        " --without-gossip --without-mingle --without-heartbeat",
        env=env,
        # Without a connection to Redis, the worker's timer stops; when Redis takes no writes, the worker ends.
        excused=lambda: not servers.redis_takes_writes(env.get("REDIS_BROKER_URL") or env["REDIS_URL"]),
    )


def _python(
    name: str,
    module: str,
    *,
    env: Mapping[str, str],
    port: int | None = None,
    niceness: int = 0,
    excused: Callable[[], bool] = lambda: False,
) -> Program:
    """Describe a process of ours. It is ready when it answers on its port, or has touched its file if it has none.

    The watchdog does not ask a server: under heavy load, a server may answer late for long, and must not be killed.
    """
    program = Program(
        name=name,
        argv=(sys.executable, "-m", *module.split()),
        env=env,
        cwd=ROOT,
        forked=True,
        liveness=Path(env["OVERLORD_DATA"]) / "liveness" / name,
        excused=excused,
        niceness=niceness,
        port=port,
        ready=lambda: http_status(port, "/livez/") == 200 if port else bool(program.liveness_files()),
    )
    return program
