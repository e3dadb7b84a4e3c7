"""The programs of the application: how each is started, and how to find out that it is ready."""

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
STATIC_ROOT = ROOT / "static"  # the same as in the settings
# The niceness of the process for gates. On busy cores it gets three times the CPU time of others, as in
# docker-compose.yml.
GATES_NICENESS = -5
CADDYFILE = Path(__file__).with_name("Caddyfile")
# A request without the header Host: Caddy itself answers it, with 400, whether the servers behind it work or not.
WITHOUT_HOST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


def environment(*, database_url: str, redis_url: str, secret_key: str, data_dir: Path) -> dict[str, str]:
    """Return the environment of our processes: the one of this process, with these addresses and secrets."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secret_key,
        "OVERLORD_DATA": str(data_dir),
        "PYTHONUNBUFFERED": "1",
        # `migrate` runs Django's checks. If workers ran them too, each would write to memory that it shares.
        "CELERY_SKIP_CHECKS": "1",
    }


def manage(*arguments: str, env: Mapping[str, str]) -> Program:
    """Return the program of a `manage.py` command, for `processes.run`."""
    argv = (sys.executable, "manage.py", *arguments)
    return Program(name=arguments[0], argv=argv, env=env, cwd=ROOT, forked=True)


def collectstatic(*, env: Mapping[str, str]) -> Program:
    """Return the command that names and compresses the static files. It needs no server."""
    return manage("collectstatic", "--no-input", "--verbosity", "0", env=env)


def web(port: int, *, env: Mapping[str, str]) -> Program:
    """Return Granian, which serves HTTP: two processes of four threads. Each thread connects to PostgreSQL."""
    return _python(
        "web",
        f"granian --interface wsgi --host {HOST} --port {port} --no-ws --log-level warning"
        " --workers 2 --blocking-threads 4 --backlog 1024 --backpressure 512"
        # Large enough for all headers that Caddy passes on: the application itself refuses those that are too
        # large.
        " --http1-buffer-size 1200000"
        # Without these options, a killed process of the server would end the server, and a process that hangs would
        # keep the server from stopping.
        " --respawn-failed-workers --respawn-interval 0.1 --workers-kill-timeout 3"
        " overlord.wsgi:application",
        env=env,
        port=port,
    )


def logins(port: int, *, env: Mapping[str, str]) -> Program:
    """Return a second Granian, for log-ins, which hash passwords. Its process has a lower priority for the CPU.

    It is one process with four threads. They can keep the cores of a small machine busy, and each needs 19 MiB
    while it hashes. Caddy limits how many requests wait (`Caddyfile`).
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
    """Return a third Granian, for gates, in one process, so that no scan has to wait for requests of buyers.

    People wait at a gate, and a scan needs little CPU time. So this process gets the CPU before the others, if the
    system allows it (`niceness.py`).
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
        niceness=GATES_NICENESS,
    )


def live(port: int, *, env: Mapping[str, str]) -> Program:
    """Return Daphne, which serves WebSockets."""
    return _python(
        "live",
        f"realtime.gateway.server -b {HOST} -p {port} overlord.asgi:application",
        env=env,
        port=port,
    )


def payments(*, env: Mapping[str, str]) -> Program:
    """Return the worker that calls payment gateways: PAYMENTS_AT_ONCE threads, which wait most of the time."""
    return _worker("payments", queues="payments", concurrency=None, env=env)


def broadcasts(*, env: Mapping[str, str]) -> Program:
    """Return the worker that sends live state. It does nothing else, so that no long task delays it."""
    return _worker("broadcasts", queues="live", concurrency=2, env=env)


def upkeep(*, env: Mapping[str, str]) -> Program:
    """Return the worker that ends due holds, serves lines, sends mails and does periodic work."""
    return _worker("upkeep", queues="expiry,upkeep,mail,mailings", concurrency=6, env=env)


def beat(*, env: Mapping[str, str]) -> Program:
    """Return beat, which enqueues periodic tasks. Its schedule is in memory, because a file could be outdated."""
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
    """Return Caddy, the front server, on a port of this machine. Its environment contains no secret.

    `pictures` is the folder of the uploaded pictures; "": they are in the data folder.
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
    """Return the HTTP status with which a server on this machine answers; 0 if it does not answer."""
    return _get(port, path)[0]


def readiness(port: int) -> tuple[bool, dict[str, Any]]:
    """Return whether the whole system can sell, and the facts of `/readyz`; {} if it does not answer."""
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
    """Return a Celery worker with `concurrency` threads; None: the number of threads in the settings."""
    node = f"{name}@{socket.gethostname()}"
    threads = "--pool threads" if concurrency is None else f"--pool threads -c {concurrency}"
    return _python(
        name,
        f"celery -A overlord worker -Q {queues} -n {node} {threads} --loglevel warning"
        " --without-gossip --without-mingle --without-heartbeat",
        env=env,
        # Without a connection to Redis, the worker's timer stops. If Redis refuses writes, the worker ends.
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
    """Return a program of ours. It is ready when it answers on its port; without a port, when it touched its file.

    It has no `question` for the watchdog: under heavy load, a server can answer late, and must not be killed then.
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
