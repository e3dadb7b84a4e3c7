"""`manage.py up`: starts everything in order, keeps it running, and stops it in the opposite order."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from overlord.embedded import binaries, ports, postgres_home, processes, program, screen
from overlord.embedded.keeper import Keeper
from overlord.embedded.postgres_home import PostgresHome
from overlord.embedded.processes import ProcessFailedError, Program
from overlord.embedded.servers import Postgres, Valkey
from overlord.embedded.state import Folder, Memory
from overlord.embedded.stopping import Stopping

PREFERRED_PORTS = {"postgres": 54329, "valkey": 63799, "web": 54339, "live": 54349, "shop": 8080}
READY_SECONDS = 60
LOOK_SECONDS = 0.1
REAP_SECONDS = 5


class StopWishedError(Exception):
    """The user wants everything to stop; not a failure."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line can ask for."""

    port: int | None = None
    demo: bool = True
    services_only: bool = False


class Supervisor:
    """One run of everything, for the process that holds the folder."""

    def __init__(self, folder: Folder, options: Options, stopping: Stopping) -> None:
        self._folder = folder
        self._options = options
        self._stopping = stopping
        self._memory: Memory = folder.recall()
        # What the settings read from the env file was written by us, and is no choice of the user's.
        written = folder.env()
        self._chosen = {
            name: value
            for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")
            if (value := os.environ.get(name)) and value != written.get(name)
        }
        self._ports: dict[str, int] = {}
        self._groups: list[list[Keeper]] = []  # in the order in which they started

    def run(self) -> int:
        """Will run everything until told to stop, and give the exit code."""
        processes.adopt_orphans()
        try:
            self._start()
            self._keep()
        except StopWishedError:
            return 0
        except ProcessFailedError as error:
            screen.failure(error, self._folder.logs)
            return 1
        finally:
            self._stop()

    def _start(self) -> None:
        env = self._start_services()
        if self._options.services_only:
            self._folder.announce(serving="PostgreSQL and Valkey alone")
            screen.services(self._folder)
            return
        self._prepare_database(env)
        self._start_application(env)
        url = f"http://localhost:{self._ports['shop']}"
        self._folder.announce(serving=url)
        screen.application(url, self._folder, self._memory)

    def _keep(self) -> NoReturn:
        """Will start again what dies, until told to stop; raises ProcessFailedError for what keeps dying."""
        while True:
            processes.reap_orphans([keeper.child for group in self._groups for keeper in group])
            until = time.monotonic() + REAP_SECONDS
            while time.monotonic() < until:
                self._look()
                time.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        self._heed_stop()
        for group in self._groups:
            for keeper in group:
                keeper.look()

    def _stop(self) -> None:
        """Will end the groups, the last started first."""
        screen.say("Stopping ...")
        for group in reversed(self._groups):
            processes.stop([keeper.child for keeper in group], grace=3, hurried=self._stopping.hurried)
        processes.reap_orphans([])
        screen.say("Stopped. The data is kept.")

    # The parts of starting ------------------------------------------------------------------------------

    def _start_services(self) -> dict[str, str]:
        """Will start the servers the user does not bring, and give our processes' environment."""
        home = None if "DATABASE_URL" in self._chosen else self._find_postgres_home()
        self._end_survivors(home)
        written = {"SECRET_KEY": self._memory.secret_key}
        if home:
            written["DATABASE_URL"] = self._start_postgres(home)
        if "REDIS_URL" not in self._chosen:
            written["REDIS_URL"] = self._start_valkey()
        self._folder.write_env(written)
        urls = {**written, **self._chosen}
        return program.environment(
            database_url=urls["DATABASE_URL"],
            redis_url=urls["REDIS_URL"],
            secret_key=urls["SECRET_KEY"],
            data_dir=self._folder.path,
        )

    def _find_postgres_home(self) -> PostgresHome:
        remembered = Path(self._memory.refuge) if self._memory.refuge else None
        home = postgres_home.find(self._folder.path, refuge=remembered)
        self._memory.refuge = str(home.refuge) if home.refuge else None
        self._folder.remember(self._memory)
        return home

    def _end_survivors(self, home: PostgresHome | None) -> None:
        """Will end what a killed run of ours left, before its ports and its data are wanted again."""
        survivors = processes.survivors(self._folder.logs, home.workplace if home else None)
        if survivors:
            screen.say("An earlier run was killed; ending what it left.")
            processes.end_survivors(survivors)

    def _start_postgres(self, home: PostgresHome) -> str:
        postgres = Postgres(home=home, port=self._port("postgres"), password=self._memory.postgres_password)
        with screen.step("PostgreSQL"):
            postgres.create(self._folder.logs)
            self._run_group(postgres.program())
            postgres.create_database()
        return postgres.url

    def _start_valkey(self) -> str:
        valkey = Valkey(
            binary=binaries.valkey(),
            data=self._folder.path / "valkey",
            port=self._port("valkey"),
            password=self._memory.valkey_password,
        )
        with screen.step("Valkey"):
            self._run_group(valkey.program())
        return valkey.url

    def _prepare_database(self, env: dict[str, str]) -> None:
        with screen.step("the database"):
            self._run_to_end(program.manage("migrate", "--no-input", env=env))
            self._run_to_end(program.manage("live_epoch", env=env))
        if self._options.demo and not self._memory.demo_loaded:
            with screen.step("the demo events"):
                demo_env = {**env, "DEMO_PASSWORD": self._memory.demo_password}
                self._run_to_end(program.manage("load_demo", env=demo_env))
            self._memory.demo_loaded = True
            self._folder.remember(self._memory)

    def _start_application(self, env: dict[str, str]) -> None:
        web, live, shop = (self._port(name) for name in ("web", "live", "shop"))
        caddy = program.caddy(shop, web_port=web, live_port=live, data_dir=self._folder.path)
        with screen.step("the workers"):
            self._run_group(
                program.payments(env=env),
                program.broadcasts(env=env),
                program.upkeep(env=env),
                program.beat(env=env),
            )
        with screen.step("the web servers"):
            self._run_group(program.web(web, env=env), program.live(live, env=env), caddy)
            self._wait_until_it_can_sell(shop)

    def _wait_until_it_can_sell(self, shop: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        ready, facts = program.readiness(shop)
        while not ready:
            if time.monotonic() > deadline:
                missing = ", ".join(facts.get("missing", ["an answer"]))
                raise ProcessFailedError("The shop", f"is not ready after {READY_SECONDS} s: {missing}", "")
            time.sleep(LOOK_SECONDS)
            self._look()
            ready, facts = program.readiness(shop)

    # Words for the above --------------------------------------------------------------------------------

    def _port(self, name: str) -> int:
        """Will give the port the server had last time, or another when that is taken, and remember it."""
        asked = self._options.port if name == "shop" else None
        wanted = asked or self._memory.ports.get(name) or PREFERRED_PORTS[name]
        port = ports.choose(preferred=wanted, but_not=tuple(self._ports.values()))
        if port != wanted and name not in ("web", "live"):  # those two nobody but Caddy uses
            screen.say(f"Port {wanted} is taken; {name} gets {port}.")
        self._ports[name] = self._memory.ports[name] = port
        self._folder.remember(self._memory)
        return port

    def _run_group(self, *programs: Program) -> None:
        """Will start the programs together, to be kept running, and wait until each is ready."""
        group: list[Keeper] = []
        self._groups.append(group)
        for each in programs:
            group.append(Keeper(each, self._folder.logs, say=screen.say))
        for keeper in group:
            keeper.child.wait_ready(seconds=READY_SECONDS, given_up=self._stopping.requested)
        self._heed_stop()

    def _run_to_end(self, command: Program) -> None:
        processes.run(command, self._folder.logs, given_up=self._stopping.requested)
        self._heed_stop()

    def _heed_stop(self) -> None:
        if self._stopping.requested():
            raise StopWishedError
