"""Start the whole system for a chaos run, as an operator does, with the proxy between it and its servers.

    bin/up --only services      PostgreSQL and Valkey, in a folder of their own, on a small disk if possible
    tests.chaos.proxy           two ports, behind which they are
    bin/up                      our processes, which know the proxy's ports only
    two processes more          web and upkeep with a wrong clock

Both supervisors work as always: they start a process again when it ends. Everything is started from the main
thread, and ends with this process.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from overlord.embedded import ports, processes, program
from overlord.embedded.processes import Child, Program
from overlord.embedded.state import Folder

START_SECONDS = 180.0
DISK = "768m"
LOG_OF_WRITES = "160MB"  # of PostgreSQL, so that it fits on the small disk
SKEWED = {"web-fast": 300.0, "upkeep-slow": -300.0}  # seconds by which the clock of a process is wrong
CLOCK_FOLDER = Path(__file__).with_name("skewed_clock")
SETTINGS = {
    "ENVIRONMENT": "development",
    "RATE_LIMITS": "off",  # all load comes from one address
    "HOLD_SECONDS": "8",
    "COOLING_EXPIRED": "100",
    "HOLDS_PER_BUYER": "1000",
    "PAYMENT_GATEWAY": "sandbox",
    "LOG_LEVEL": "WARNING",
}
OURS = ("web", "logins", "door", "live", "payments", "broadcasts", "upkeep", "beat", "caddy")


class Proxy:
    """The proxy between our processes and the servers. `command` is called from the main thread."""

    def __init__(self, edges: dict[str, tuple[int, int]], log: Path) -> None:
        arguments = [f"{name}={listen}:{target}" for name, (listen, target) in edges.items()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", *arguments],
            stdin=pipe, stdout=pipe, stderr=log.open("ab"), cwd=program.ROOT, text=True, bufsize=1,
        )  # fmt: skip
        self._answer()

    def command(self, edge: str, **what: Any) -> dict[str, int]:
        """Begin a fault on the way to a server, or heal it (`toxic=None`); return what happened there so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"edge": edge, **what}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The proxy has ended.")
        found: dict[str, int] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@dataclass
class Stage:
    """The running system, and where each part of it is."""

    folder: Path
    has_small_disk: bool
    database_url: str  # past the proxy
    redis_url: str
    port: int
    env: dict[str, str]
    services: Child
    shop: Child
    proxy: Proxy
    extras: dict[str, Child] = field(default_factory=dict)
    skewed_port: int = 0
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def small_disk(self) -> Path:
        return self.folder / "services"

    def found(self, name: str) -> psutil.Process | None:
        """Return the process of this name that a supervisor keeps running; None while it does not run."""
        keeper = self.services if name in ("postgres", "valkey-server", "valkey") else self.shop
        try:
            for process in psutil.Process(keeper.pid).children():
                if process.name() == name and process.status() != psutil.STATUS_ZOMBIE:
                    return process
        except psutil.Error:
            return None
        return None

    def check(self) -> None:
        """Raise RuntimeError if a supervisor has given up; start the processes with a wrong clock again."""
        for keeper in (self.services, self.shop):
            if not keeper.running:
                raise RuntimeError(f"{keeper.program.name} has given up:\n{keeper.last_lines(40)}")
        for name, child in list(self.extras.items()):
            if not child.running:
                self.extras[name] = processes.start(child.program, self.folder / "logs")

    def close(self) -> None:
        processes.stop([*self.extras.values()])
        processes.stop([self.shop], grace=30)
        self.proxy.close()
        processes.stop([self.services], grace=30)
        self._closing.close()


def set_up(*, folder: Path, small_disk: bool, skewed: bool) -> Stage:
    """Start everything in the folder, and return the stage once it can sell."""
    closing = ExitStack()
    has_small_disk = small_disk and _mount(folder / "services", closing)
    services_folder, shop_folder = Folder(folder / "services"), Folder(folder / "shop")
    for each in (services_folder, shop_folder):
        each.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = {**_bare_environment(), **SETTINGS}
    services = _supervisor("services", services_folder, base, "--only", "services")
    _await(services, lambda: services_folder.running() is not None and _serves(services_folder))
    found = services_folder.env()
    database_url, redis_url = found["DATABASE_URL"], found["REDIS_URL"]
    _keep_small(database_url)
    edges = {name: (ports.any_free(), _port_of(url)) for name, url in
             (("postgres", database_url), ("redis", redis_url))}  # fmt: skip
    proxy = Proxy(edges, folder / "proxy.log")
    env = {
        **base,
        "DATABASE_URL": _through(database_url, edges["postgres"]),
        "REDIS_URL": _through(redis_url, edges["redis"]),
        "SECRET_KEY": secrets.token_urlsafe(50),
    }
    port = ports.any_free()
    shop = _supervisor("shop", shop_folder, env, "--no-demo", "--port", str(port))
    _await(shop, lambda: _serves(shop_folder))
    stage = Stage(
        folder=folder, has_small_disk=has_small_disk, database_url=database_url, redis_url=redis_url, port=port,
        env=env, services=services, shop=shop, proxy=proxy, _closing=closing,
    )  # fmt: skip
    if skewed:
        _start_skewed(stage)
    return stage


def _bare_environment() -> dict[str, str]:
    """Return this process's environment without the variables that name other servers or the tests' settings."""
    ours = (
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "BASE_URL",
        "EMAIL_URL",
        "OVERLORD_DATA",
        "ENVIRONMENT",
    )
    return {name: value for name, value in os.environ.items() if name not in ours and name != "OVERLORD_LOG"}


def _mount(folder: Path, closing: ExitStack) -> bool:
    """Mount a small disk at the folder; return whether this user and this machine allow it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        return False
    options = ["-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)]
    if subprocess.run([mount, *options], capture_output=True, check=False).returncode != 0:
        return False
    closing.callback(subprocess.run, [umount, "--lazy", str(folder)], capture_output=True, check=False)
    return True


def _supervisor(name: str, folder: Folder, env: dict[str, str], *arguments: str) -> Child:
    described = Program(
        name=name,
        argv=(sys.executable, "manage.py", "up", *arguments),
        env={**env, "OVERLORD_DATA": str(folder.path), "PYTHONUNBUFFERED": "1"},
        cwd=program.ROOT,
    )
    return processes.start(described, folder.path.parent / "logs")


def _serves(folder: Folder) -> bool:
    running = folder.running()
    return running is not None and running.serving is not None


def _await(child: Child, ready: Callable[[], bool]) -> None:
    """Wait until a supervisor has started all. Raises RuntimeError with its output if it does not."""
    until = time.monotonic() + START_SECONDS
    while not ready():
        if not child.running or time.monotonic() > until:
            raise RuntimeError(f"{child.program.name} did not start:\n{child.last_lines(40)}")
        time.sleep(0.1)


def _keep_small(url: str) -> None:
    """Let PostgreSQL reuse its write-ahead log before that fills the disk."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET max_wal_size = '{LOG_OF_WRITES}'")
            cursor.execute("SELECT pg_reload_conf()")
    finally:
        connection.close()


def _start_skewed(stage: Stage) -> None:
    """Start a web server whose clock is fast, and a worker whose clock is slow."""
    stage.skewed_port = ports.any_free()
    env = program.environment(
        database_url=stage.env["DATABASE_URL"],
        redis_url=stage.env["REDIS_URL"],
        secret_key=stage.env["SECRET_KEY"],
        data_dir=stage.folder / "shop",
    )
    for name, described in (
        ("web-fast", program.web(stage.skewed_port, env={**env, **stage.env})),
        ("upkeep-slow", program.upkeep(env={**env, **stage.env})),
    ):
        own = {
            **described.env,
            "PYTHONPATH": str(CLOCK_FOLDER),
            "CHAOS_CLOCK_SECONDS": str(SKEWED[name]),
            "OVERLORD_DATA": str(stage.folder / "shop"),
        }
        argv = tuple(each.replace("upkeep@", "upkeep-slow@") for each in described.argv)
        liveness = described.liveness and described.liveness.with_name(name)
        renamed = replace(described, name=name, env=own, argv=argv, liveness=liveness)
        stage.extras[name] = processes.start(renamed, stage.folder / "logs")
        stage.extras[name].wait_ready(seconds=START_SECONDS)


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])


def _through(url: str, edge: tuple[int, int]) -> str:
    """Return the address of a server, with the proxy's port instead of the server's."""
    listen, target = edge
    return url.replace(f":{target}/", f":{listen}/")


def folder_make() -> Path:
    """Make a folder for all that a run writes."""
    return Path(tempfile.mkdtemp(prefix="overlord-chaos-")).resolve()
