"""The running cluster: which processes run on which machine, and how each is started, killed and read."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from overlord.embedded import binaries, program
from overlord.embedded.servers import SERVER_ENV
from overlord.redis_address import RedisAddress, client_close
from tests.cluster import configs, names, network
from tests.cluster.network import APPS, DATABASES, VALKEYS, address, peer_address
from tests.cluster.process import Process
from tests.cluster.programs import Programs

START_SECONDS = 120.0
SHOP_PORT, NAMES_PORT = 8080, 5353
PORTS = {"web": 8000, "logins": 8001, "live": 8002, "door": 8003}
NAMES = "names.json"
CONTROLS = Path(__file__).with_name("controls")
SETTINGS = {
    "ENVIRONMENT": "development",
    "RATE_LIMITS": "off",  # all load comes from one address
    "COOLING_EXPIRED": "100",
    "HOLDS_PER_BUYER": "1000",
    "PAYMENT_GATEWAY": "sandbox",
    "LOG_LEVEL": "WARNING",
}


@dataclass
class Stage:
    """The cluster, and where each part of it is."""

    folder: Path
    programs: Programs
    synchronous: bool = True
    control: str = ""
    hold_seconds: int = 8
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    processes: dict[str, Process] = field(default_factory=dict)
    skewed_port: int = 0  # none has a wrong clock
    ours: set[str] = field(default_factory=set)  # names of the application's processes
    down: set[str] = field(default_factory=set)  # machines on which nothing is started again

    @property
    def url(self) -> str:
        return f"http://{address('front')}:{SHOP_PORT}"

    @property
    def database_url(self) -> str:
        """Return the address of the primary, as we reach it, through a HAProxy."""
        return self._database_url(address(APPS[0]))

    @property
    def redis_url(self) -> str:
        return configs.redis_url(self.password)

    def _database_url(self, host: str) -> str:
        return f"postgres://{configs.ROLE}:{self.password}@{host}:{configs.PROXY_PORT}/overlord"

    def env(self, machine: str) -> dict[str, str]:
        """Return the environment of our processes on a machine, each with its own HAProxy."""
        ours = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        host = "127.0.0.1" if machine in APPS else address(APPS[0])
        data = self.folder / machine
        data.mkdir(exist_ok=True)
        return {
            **ours,
            **SETTINGS,
            "HOLD_SECONDS": str(self.hold_seconds),
            "DATABASE_URL": self._database_url(host),
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": "cluster" * 10,
            "OVERLORD_DATA": str(data),
            "ALLOWED_HOSTS": f"{address('front')},127.0.0.1,localhost",
            "CSRF_TRUSTED_ORIGINS": self.url,
            "PYTHONUNBUFFERED": "1",
            "CELERY_SKIP_CHECKS": "1",
            **({"CLUSTER_CONTROL": self.control, "PYTHONPATH": str(CONTROLS)} if self.control else {}),
        }

    # Starting ----------------------------------------------------------------------------------------------
    def set_up(self) -> None:
        """Start all machines, and return when the cluster sells."""
        network.make()
        for machine in DATABASES:
            self._start(
                "etcd",
                machine,
                configs.etcd_words(self.programs.etcd, machine, self.folder / f"{machine}-etcd"),
            )
        for machine in DATABASES:
            self._start_patroni(machine)
            if machine == DATABASES[0]:
                self.until("a primary", lambda: self.primary() == DATABASES[0])
        self.until("two standbys, one of them synchronous", self.is_healthy)
        self._make_database()
        for machine in APPS:
            file = self._write(f"{machine}-haproxy.cfg", configs.haproxy())
            env = {"LD_LIBRARY_PATH": self.programs.libraries}
            self._start("haproxy", machine, [str(self.programs.haproxy), "-f", str(file)], env=env)
        self._start_valkeys()
        self.until("HAProxy's way to the primary", self._database_answers)
        for command in (("migrate", "--verbosity", "0"), ("collectstatic", "--no-input", "--verbosity", "0")):
            subprocess.run(
                [sys.executable, "manage.py", *command], env=self.env("front"), cwd=program.ROOT, check=True
            )
        self._start_shop()
        self.until("a shop that is ready", lambda: self.status(f"{self.url}/readyz") == 200)

    def _start_patroni(self, machine: str) -> None:
        data = self.folder / f"{machine}-data" / "postgres"
        data.parent.mkdir(exist_ok=True)
        text = configs.patroni(
            machine,
            data=data,
            programs=binaries.postgres_folder(),
            password=self.password,
            synchronous=self.synchronous,
        )
        words = [
            str(self.programs.patroni_python),
            "-m",
            "patroni",
            str(self._write(f"{machine}-patroni.yml", text)),
        ]
        self._start("patroni", machine, words, as_ordinary_user=True)

    def _start_valkeys(self) -> None:
        server = str(binaries.valkey())
        for machine in VALKEYS:
            data = self.folder / f"{machine}-valkey"
            data.mkdir()
            file = self._write(
                f"{machine}-valkey.conf", configs.valkey(machine, data=data, password=self.password)
            )
            self._start("valkey", machine, [server, str(file)])
        for machine in configs.SENTINELS:
            text = configs.sentinel(machine, data=self.folder, password=self.password)
            file = self._write(f"{machine}-sentinel.conf", text)
            self._start("sentinel", machine, [server, str(file), "--sentinel"])

    def _start_shop(self) -> None:
        for machine in APPS:
            env = self.env(machine)
            servers = [program.web(PORTS["web"], env=env), program.logins(PORTS["logins"], env=env)]
            servers += [program.live(PORTS["live"], env=env), program.door(PORTS["door"], env=env)]
            workers = [
                of(env=env) for of in (program.payments, program.broadcasts, program.upkeep, program.beat)
            ]
            self.ours |= {each.name for each in (*servers, *workers)}
            for each in (*servers, *workers):
                words = [on_machine(word, machine) for word in each.argv]
                self._start(each.name, machine, words, env=env)
        self.lead_to(APPS)
        self._start("names", "front", names.words(self.folder / NAMES, NAMES_PORT))
        file = self._write("Caddyfile", configs.caddyfile(program.CADDYFILE.read_text(), NAMES_PORT))
        described_caddy = program.caddy(
            SHOP_PORT, static=program.STATIC_ROOT, data_dir=self.folder,
            **{f"{name}_port": port for name, port in PORTS.items()},
        )  # fmt: skip
        words = [str(file) if word == str(program.CADDYFILE) else word for word in described_caddy.argv]
        led = {f"OVERLORD_{name.upper()}": name for name in PORTS}
        env = {**described_caddy.env, **led, "OVERLORD_BIND": "0.0.0.0"}  # noqa: S104
        self._start("caddy", "front", words, env=env)

    def lead_to(self, machines: Iterable[str]) -> None:
        """Let the front server find our processes on these machines only."""
        addresses = [address(each) for each in machines]
        names.write(self.folder / NAMES, dict.fromkeys(PORTS, addresses))

    def _start(
        self, name: str, machine: str, words: list[str], *, env: Mapping[str, str] | None = None,
        as_ordinary_user: bool = False,
    ) -> None:  # fmt: skip
        made = Process(
            name,
            machine,
            words,
            {**SERVER_ENV, **(env or {})},
            self.folder / f"{machine}-{name}.log",
            as_ordinary_user,
        )
        self.processes[f"{name}@{machine}"] = made
        made.start()

    def _make_database(self) -> None:
        primary = self.primary()
        assert primary is not None
        url = f"postgres://{configs.ROLE}:{self.password}@{address(primary)}:{configs.POSTGRES_PORT}/postgres"
        connection = psycopg2.connect(url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE overlord")
        finally:
            connection.close()

    def _database_answers(self) -> bool:
        try:
            psycopg2.connect(self.database_url, connect_timeout=2).close()
        except psycopg2.Error:
            return False
        return True

    def _write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    # Looking -----------------------------------------------------------------------------------------------
    def until(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready` is true; raise RuntimeError after START_SECONDS."""
        until = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > until:
                raise RuntimeError(f"The cluster waited for {what} in vain. Its logs are in {self.folder}.")
            self.keep_running()
            time.sleep(0.3)

    def members(self) -> list[dict[str, Any]]:
        """Return the members of the cluster, as the first agent that answers reports them."""
        for machine in DATABASES:
            found = _json(f"http://{address(machine)}:{configs.REST_PORT}/cluster")
            if found is not None:
                return list(found.get("members", []))
        return []

    def primary(self) -> str | None:
        """Return the machine whose PostgreSQL takes writes; None while there is none."""
        for machine in DATABASES:
            if self.status(f"http://{address(machine)}:{configs.REST_PORT}/primary") == 200:
                return machine
        return None

    def awaited_standby(self) -> str | None:
        """Return the standby that commits wait for, or any standby if they wait for none."""
        role = "sync_standby" if self.synchronous else "replica"
        found = [each["name"] for each in self.members() if each["role"] == role]
        return found[0] if found else None

    def is_healthy(self) -> bool:
        """Return whether there are a primary and two standbys that follow it, one of them synchronous."""
        states = sorted((each["role"], each["state"]) for each in self.members())
        roles = {role for role, _ in states}
        others = [state for role, state in states if role != "leader"]
        wanted = {"leader", "sync_standby"} if self.synchronous else {"leader"}
        return wanted <= roles and others == ["streaming", "streaming"]

    def etcd_leader(self) -> str | None:
        for machine in DATABASES:
            found = _json(
                f"http://{peer_address(machine)}:{configs.ETCD_PORT}/v3/maintenance/status", body={}
            )
            if found and found.get("leader") == found["header"]["member_id"]:
                return machine
        return None

    def valkey_primary(self) -> str | None:
        client = RedisAddress(self.redis_url).client(socket_timeout=2, socket_connect_timeout=2)
        try:
            pool: Any = client.connection_pool
            host = pool.get_master_address()[0]
        except Exception:  # noqa: BLE001  (whatever it is: nobody knows it now)
            return None
        finally:
            client_close(client)
        return next(each for each in VALKEYS if address(each) == host)

    def status(self, url: str) -> int:
        """Return the status that an address answers with; 0 when it does not."""
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
                return int(answer.status)
        except OSError as error:
            return int(getattr(error, "code", 0) or 0)

    def keep_running(self) -> None:
        """Start processes again that have ended on machines that are not down, as a supervisor does."""
        for each in self.processes.values():
            if each.machine not in self.down and each.may_start:
                each.start()

    # Breaking ----------------------------------------------------------------------------------------------
    def kill_machine(self, machine: str) -> None:
        """Kill all processes of a machine; none of them is started again before `revive`."""
        self.down.add(machine)
        network.kill_all_on(machine)

    def revive(self, machine: str) -> None:
        network.heal(machine)
        self.down.discard(machine)

    def kill_postmaster(self, machine: str) -> None:
        """Kill PostgreSQL's first process; its agent goes on."""
        pid_file = self.folder / f"{machine}-data" / "postgres" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    def switch_over(self, primary: str) -> None:
        """Order a planned change of the primary."""
        _json(
            f"http://{address(primary)}:{configs.REST_PORT}/switchover", body={"leader": primary}, seconds=30
        )

    def stand_alone(self) -> None:
        """End the standbys, and return when commits of the primary wait for none."""
        primary = self.primary()
        assert primary is not None
        self._wait_for_standby(primary, False)
        for machine in DATABASES:
            if machine != primary:
                self.processes[f"patroni@{machine}"].end()
        self.until(
            "a primary that stands alone", lambda: [each["name"] for each in self.members()] == [primary]
        )

    def stand_together(self) -> None:
        """Start the standbys again, and return when commits wait for one of them."""
        for machine in DATABASES:
            process = self.processes[f"patroni@{machine}"]
            if not process.running:
                process.start()
        primary = self.primary()
        assert primary is not None
        self._wait_for_standby(primary, True)
        self.until("two standbys, one of them synchronous", self.is_healthy)

    def _wait_for_standby(self, primary: str, synchronous: bool) -> None:
        self.synchronous = synchronous
        url = f"http://{address(primary)}:{configs.REST_PORT}/config"
        _json(url, body=configs.commits_wait(synchronous), method="PATCH")

    def close(self) -> None:
        """Kill everything, and remove the machines."""
        network.remove()

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def on_machine(word: str, machine: str) -> str:
    """Adapt a word of our commands to a machine, which serves other machines and has its own name."""
    if word == "127.0.0.1":
        return "0.0.0.0"  # noqa: S104
    name, at, _ = word.partition("@")
    return f"{name}@{machine}" if at and name.isalpha() else word


def _json(
    url: str, *, body: Any = None, method: str | None = None, seconds: float = 2.0
) -> dict[str, Any] | None:
    """Return the JSON that a server of the cluster answers with; None if it does not answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except (OSError, ValueError):
        return None
