"""The supervisor of `manage.py up`: it starts everything in order, keeps it running, and stops it in reverse order.

It runs in the main thread of its process, because the kernel ends a child when the thread that started it ends.
Only the watchdog has a thread of its own.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from overlord.embedded import binaries, console, disk, ports, postgres_home, processes, program
from overlord.embedded.forks import ForkServer
from overlord.embedded.postgres_home import PostgresHome
from overlord.embedded.processes import Child, ProcessFailedError, Program
from overlord.embedded.servers import Postgres, Valkey
from overlord.embedded.state import POSTGRES_FOLDER, Folder, SavedState
from overlord.embedded.supervised import SupervisedProcess, repair
from overlord.embedded.watchdog import Watchdog

PREFERRED_PORTS = {
    "postgres": 15432,
    "valkey": 16379,
    "web": 18010,
    "logins": 18020,
    "live": 18030,
    "door": 18040,
    "shop": 8080,
}
READY_SECONDS = 60
MIGRATE_SECONDS = 3600
CHECK_SECONDS = 0.1
TIDY_SECONDS = 5


class ShutdownSignals:
    """The shutdown signals that have come: Ctrl-C, a closed terminal, SIGTERM. A second one kills all programs."""

    def __init__(self) -> None:
        self._count = 0

    def listen(self) -> None:
        """Handle the signals from now on. With `nohup`, a closed terminal is still ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle)

    def received(self) -> bool:
        return self._count > 0

    def repeated(self) -> bool:
        return self._count > 1

    def _handle(self, _number: int, _frame: object) -> None:
        self._count += 1


class ShutdownRequestedError(Exception):
    """A shutdown signal has arrived. This is not a failure."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `manage.py up`, from its command line and the settings."""

    port: int | None = None
    demo: bool = True
    services_only: bool = False
    pictures: str = ""
    trusted_proxies: str = ""


class Supervisor:
    """One run of everything, in the process that holds the data folder's lock."""

    def __init__(self, folder: Folder, options: Options, signals: ShutdownSignals) -> None:
        self._folder = folder
        self._options = options
        self._signals = signals
        self._state: SavedState = folder.load()
        # A value that is also in the env file was written by an earlier run. It is not the user's choice.
        written = folder.env()
        self._chosen = {
            name: value
            for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "BASE_URL", "EMAIL_URL")
            if (value := os.environ.get(name)) and value != written.get(name)
        }
        self._ports: dict[str, int] = {}
        self._groups: list[list[SupervisedProcess]] = []  # in the order in which they started
        self._watchdog = Watchdog(self._children, say=console.say)
        self._disk_is_full = False
        self._forks: ForkServer | None = None

    def run(self) -> int:
        """Run everything until a shutdown signal, and return the exit code."""
        # `console.failure` checks the disk of this folder, even if no program has started yet.
        self._folder.logs.mkdir(exist_ok=True)
        processes.adopt_orphans()
        processes.allow_open_files()
        try:
            self._start()
            self._watchdog.begin()
            self._supervise()
        except ShutdownRequestedError:
            return 0
        except ProcessFailedError as error:
            console.failure(error, self._folder.logs)
            return 1
        finally:
            self._stop()

    def _start(self) -> None:
        env = self._start_services()
        if self._options.services_only:
            self._folder.announce(serving="PostgreSQL and Valkey alone")
            console.services(self._folder)
            return
        self._forks = ForkServer(env=env, cwd=program.ROOT, log_dir=self._folder.logs)
        collecting = self._forks.start(program.collectstatic(env=env), self._folder.logs)
        try:
            self._prepare_database(env)
        finally:
            self._finish(collecting)
        self._start_application(env)
        url = f"http://localhost:{self._ports['shop']}"
        self._folder.announce(serving=url)
        console.application(url, self._folder, self._state, sends_mail="EMAIL_URL" in self._chosen)

    def _supervise(self) -> NoReturn:
        """Restart programs that end. Raise ShutdownRequestedError at a signal, ProcessFailedError at a failure."""
        while True:
            processes.reap_orphans(self._children())
            for child in self._children():
                child.limit_log()
            self._report_disk()
            until = time.monotonic() + TIDY_SECONDS
            while time.monotonic() < until:
                self._check()
                time.sleep(CHECK_SECONDS)

    def _report_disk(self) -> None:
        """Print a line when the disk becomes full, and when there is room again."""
        if disk.lacks_room(self._folder.path) == self._disk_is_full:
            return
        self._disk_is_full = not self._disk_is_full
        if self._disk_is_full:
            console.say(
                f"Warning: {disk.description(self._folder.path)}. Selling may stop until there is room."
            )
        else:
            console.say(f"There is room again on the disk that holds {self._folder.path}.")

    def _check(self) -> None:
        self._raise_on_shutdown()
        for group in self._groups:
            for each in group:
                each.check()

    def _children(self) -> list[Child]:
        return [each.child for group in self._groups for each in group]

    def _stop(self) -> None:
        """Stop all groups of programs, the group that started last first."""
        console.say("Stopping ...")
        self._watchdog.end()
        for group in reversed(self._groups):
            processes.stop([each.child for each in group], immediately=self._signals.repeated)
        if self._forks:
            self._forks.stop()
        processes.reap_orphans([])
        console.say("Stopped. The data is kept.")

    # The steps of starting -------------------------------------------------------------------------------

    def _start_services(self) -> dict[str, str]:
        """Start the servers whose address nobody has set, and return the environment of our processes."""
        home = None if "DATABASE_URL" in self._chosen else self._find_postgres_home()
        self._end_survivors(home)
        written = {"SECRET_KEY": self._state.secret_key}
        if self._state.external_folder:
            written[POSTGRES_FOLDER] = self._state.external_folder
        if not self._options.services_only:
            written["BASE_URL"] = f"http://localhost:{self._port('shop')}"
        if "EMAIL_URL" not in self._chosen:
            written["EMAIL_URL"] = self._folder.mail_url
        if home:
            written["DATABASE_URL"] = self._start_postgres(home)
        if "REDIS_URL" not in self._chosen:
            written["REDIS_URL"] = self._start_valkey()
        self._folder.write_env(written)
        urls = {**written, **self._chosen}
        environment = program.environment(
            database_url=urls["DATABASE_URL"],
            redis_url=urls["REDIS_URL"],
            secret_key=urls["SECRET_KEY"],
            data_dir=self._folder.path,
        )
        return {
            **environment,
            "BASE_URL": urls.get("BASE_URL", ""),
            "EMAIL_URL": urls["EMAIL_URL"],
            "OVERLORD_PICTURES": self._options.pictures,  # absolute, because our processes run in another folder
        }

    def _find_postgres_home(self) -> PostgresHome:
        external = Path(self._state.external_folder) if self._state.external_folder else None
        home = postgres_home.find(self._folder.path, external_folder=external)
        self._state.external_folder = str(home.external_folder) if home.external_folder else None
        self._folder.save(self._state)
        return home

    def _end_survivors(self, home: PostgresHome | None) -> None:
        """End the processes that a killed run left behind, because this run needs their ports and data."""
        survivors = processes.survivors(self._folder.logs, home.process_match if home else None)
        if survivors:
            console.say("An earlier run was killed. Ending the processes that it left.")
            processes.end_survivors(survivors)

    def _start_postgres(self, home: PostgresHome) -> str:
        def on(port: int) -> Postgres:
            return Postgres(home=home, port=port, password=self._state.postgres_password)

        with console.step("PostgreSQL"):
            on(0).create(self._folder.logs)
            postgres = on(self._run_on_a_port("postgres", lambda port: on(port).program()))
            postgres.create_database()
        return postgres.url

    def _start_valkey(self) -> str:
        def on(port: int) -> Valkey:
            return Valkey(
                binary=binaries.valkey(),
                data=self._folder.path / "valkey",
                port=port,
                password=self._state.valkey_password,
            )

        with console.step("Valkey"):
            port = self._run_on_a_port("valkey", lambda port: on(port).program())
        return on(port).url

    def _run_on_a_port(self, name: str, program_on: Callable[[int], Program]) -> int:
        """Start a server and keep it running; return its port.

        If another program takes the port, use another port. If the server can be repaired, start it once more.
        """
        repaired = ""
        while True:
            port = self._port(name)
            try:
                self._run_group(program_on(port))
            except ProcessFailedError:
                [child] = [each.child for each in self._groups.pop()]
                processes.stop([child])
                if ports.taken(port):
                    continue
                if repaired or not (repaired := repair(child)):
                    raise
                console.say(repaired)
            else:
                return port

    def _prepare_database(self, env: dict[str, str]) -> None:
        with console.step("the database"):
            self._run_to_end(program.manage("migrate", "--no-input", env=env), seconds=MIGRATE_SECONDS)
            self._run_to_end(program.manage("live_epoch", env=env))
        if self._options.demo and not self._state.demo_loaded:
            with console.step("the demo events"):
                demo_env = {**env, "DEMO_PASSWORD": self._state.demo_password}
                self._run_to_end(program.manage("load_demo", env=demo_env))
            self._state.demo_loaded = True
            self._folder.save(self._state)

    def _start_application(self, env: dict[str, str]) -> None:
        with console.step("the workers"):
            self._run_group(
                program.payments(env=env),
                program.broadcasts(env=env),
                program.upkeep(env=env),
                program.beat(env=env),
            )
        web, logins, door, live = (self._port(name) for name in ("web", "logins", "door", "live"))
        shop = self._ports["shop"]
        caddy = program.caddy(
            shop,
            web_port=web,
            logins_port=logins,
            door_port=door,
            live_port=live,
            static=program.STATIC_ROOT,
            data_dir=self._folder.path,
            pictures=self._options.pictures,
            trusted_proxies=self._options.trusted_proxies,
        )
        with console.step("the web servers"):
            self._run_group(
                program.web(web, env=env),
                program.logins(logins, env=env),
                program.door(door, env=env),
                program.live(live, env=env),
                caddy,
            )
            self._wait_until_ready_to_sell(shop)

    def _wait_until_ready_to_sell(self, shop: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        ready, facts = program.readiness(shop)
        while not ready:
            if time.monotonic() > deadline:
                missing = ", ".join(facts.get("missing", ["an answer"]))
                raise ProcessFailedError("The shop", f"is not ready after {READY_SECONDS} s: {missing}", "")
            time.sleep(CHECK_SECONDS)
            self._check()
            ready, facts = program.readiness(shop)

    # Shared by the steps ---------------------------------------------------------------------------------

    def _port(self, name: str) -> int:
        """Choose, save and return a server's port: the requested one, else the last run's, else the preferred one.

        If this port is taken, choose another. But if a requested port is taken or forbidden, raise
        ProcessFailedError.
        """
        requested = self._options.port if name == "shop" else None
        saved = self._state.ports.get(name)
        if saved and name != "shop" and ports.is_outgoing(saved):  # an earlier version chose such ports
            saved = None
        wanted = requested or saved or PREFERRED_PORTS[name]
        others = tuple(port for other, port in self._ports.items() if other != name)
        if requested and ports.forbidden(requested):
            reason = f"may not have port {requested}: those below 1024 need root, or a proxy in front"
            raise ProcessFailedError("The shop", reason, "")
        if requested and ports.taken(requested):
            reason = f"cannot have port {requested}, which another program uses: name another with --port"
            raise ProcessFailedError("The shop", reason, "")
        port = ports.choose(preferred=wanted, excluded=others)
        if port != wanted and name not in ("web", "logins", "door", "live"):  # these concern only Caddy
            console.say(f"Port {wanted} is taken; {name} gets port {port} instead.")
        self._ports[name] = self._state.ports[name] = port
        self._folder.save(self._state)
        return port

    def _run_group(self, *programs: Program) -> None:
        """Start the programs together, wait until each is ready, and keep them running from then on."""
        group: list[SupervisedProcess] = []
        self._groups.append(group)
        for each in programs:
            group.append(
                SupervisedProcess(each, self._folder.logs, say=console.say, start=self._start_program)
            )
        for supervised in group:
            supervised.child.wait_ready(cancelled=self._signals.received, say=console.say)
        self._raise_on_shutdown()

    def _run_to_end(self, command: Program, *, seconds: float = 300) -> None:
        self._finish(self._start_program(command, self._folder.logs), seconds=seconds)

    def _start_program(self, each: Program, log_dir: Path) -> Child:
        return self._forks.start(each, log_dir) if self._forks else processes.start(each, log_dir)

    def _finish(self, command: Child, *, seconds: float = 300) -> None:
        processes.finish(command, seconds=seconds, cancelled=self._signals.received)
        self._raise_on_shutdown()

    def _raise_on_shutdown(self) -> None:
        if self._signals.received():
            raise ShutdownRequestedError
