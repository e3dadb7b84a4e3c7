"""All faults: each begins, lasts for some seconds, and is healed. This runs in the main thread.

A fault has a name made of its kind and its target: "kill payments", "latency redis". A process of the supervisor is
killed no more often than it may end before the supervisor gives up (overlord/embedded/supervised.py).
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import psycopg2
import redis

from tests.chaos.readings import connect, rows
from tests.chaos.stage import OURS, Stage

REST = 12.0  # seconds before the same process is killed again: an uptime of ten counts as started
FILLER = "filler"


@dataclass(eq=False)
class Fault:
    """One fault of a kind. `begin` returns the function that heals it, or None if the fault is not possible now."""

    kind: str
    begin: Callable[["Context"], Callable[[], None] | None]
    seconds: tuple[float, float] = (0.0, 0.0)
    weight: int = 2
    rests: str | None = None  # the process that must have run for REST seconds since it was killed last
    alone: str | None = None  # faults that share this word do not overlap


@dataclass
class Context:
    """The parts of the system that faults need."""

    stage: Stage
    dice: random.Random
    drop_screens: Callable[[], None]
    reports: Counter[str] = field(default_factory=Counter)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stage.redis_url, socket_timeout=3, socket_connect_timeout=2)


@dataclass
class Storm:
    """Faults in an order that the seed decides; some overlap."""

    context: Context
    only: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    impossible: Counter[str] = field(default_factory=Counter)
    _open: list[tuple[float, Fault, Callable[[], None]]] = field(default_factory=list)
    _killed: dict[str, float] = field(default_factory=dict)

    def step(self) -> None:
        """Heal what is due and begin another fault."""
        self.heal()
        self._begin(self._choose())

    def heal(self, *, everything: bool = False) -> None:
        """End the faults whose time is over, or all."""
        now = time.monotonic()
        due = [each for each in self._open if everything or each[0] <= now]
        self._open = [each for each in self._open if each not in due]
        for _, _, end in due:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                end()

    def _choose(self) -> Fault:
        now = time.monotonic()
        taken = {fault.alone for _, fault, _ in self._open if fault.alone}
        free = [
            fault
            for fault in menu(self.context.stage)
            if self.only in fault.kind
            and fault.alone not in taken
            and (not fault.rests or now - self._killed.get(fault.rests, 0.0) > REST)
        ]
        weights = [fault.weight for fault in free]
        return self.context.dice.choices(free, weights)[0] if free else PAUSE

    def _begin(self, fault: Fault) -> None:
        try:
            end = fault.begin(self.context)
        except (psutil.Error, ProcessLookupError, psycopg2.Error, redis.RedisError, OSError):
            end = None
        if end is None:
            self.impossible[fault.kind] += 1
            return
        self.counts[fault.kind] += 1
        if fault.rests:
            self._killed[fault.rests] = time.monotonic()
        self._open.append((time.monotonic() + self.context.dice.uniform(*fault.seconds), fault, end))


def nothing() -> None:
    """Do nothing: heal a fault that is over at once."""


PAUSE = Fault("pause", lambda context: None)


# Processes -----------------------------------------------------------------------------------------------
def kill(name: str, number: int = signal.SIGKILL) -> Callable[[Context], Callable[[], None] | None]:
    def begin(context: Context) -> Callable[[], None] | None:
        process = context.stage.found(name)
        if process is None:
            return None
        process.send_signal(number)
        return nothing

    return begin


def kill_child(name: str) -> Callable[[Context], Callable[[], None] | None]:
    def begin(context: Context) -> Callable[[], None] | None:
        parent = context.stage.found(name)
        children = parent.children() if parent else []
        if not children:
            return None
        context.dice.choice(children).kill()
        return nothing

    return begin


def stop(name: str) -> Callable[[Context], Callable[[], None] | None]:
    def begin(context: Context) -> Callable[[], None] | None:
        process = context.stage.found(name)
        if process is None:
            return None
        stopped = [process, *process.children(recursive=True)]
        for each in stopped:
            each.suspend()
        return lambda: _go_on(stopped)

    return begin


def _go_on(stopped: list[psutil.Process]) -> None:
    for each in stopped:
        with contextlib.suppress(psutil.Error):
            each.resume()


# The network ---------------------------------------------------------------------------------------------
def spoil(
    edge: str, toxic: str, amount: tuple[float, float] = (0.0, 0.0), share: tuple[float, float] = (0.3, 1.0)
) -> Callable[[Context], Callable[[], None] | None]:
    def begin(context: Context) -> Callable[[], None] | None:
        proxy = context.stage.proxy
        proxy.command(
            edge,
            toxic=toxic,
            amount=context.dice.uniform(*amount),
            share=context.dice.uniform(*share),
        )

        def end() -> None:
            proxy.command(edge, toxic=None)

        return end

    return begin


# PostgreSQL ----------------------------------------------------------------------------------------------
def end_connections(context: Context) -> Callable[[], None] | None:
    """End half of the connections to PostgreSQL, as an operator or a failover does."""
    connection = connect(context.stage.database_url)
    try:
        with connection:
            found = rows(
                connection,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name IN ('overlord', 'sandbox') AND random() < 0.5",
            )
    finally:
        connection.close()
    return nothing if found else None


def kill_a_backend(context: Context) -> Callable[[], None] | None:
    """Kill one server process: PostgreSQL ends all connections and recovers from its log."""
    server = context.stage.found("postgres")
    backends = server.children() if server else []
    if not backends:
        return None
    context.dice.choice(backends).kill()
    return nothing


def stop_a_backend(context: Context) -> Callable[[], None] | None:
    """Stop one server process, which may hold locks."""
    connection = connect(context.stage.database_url)
    try:
        with connection:
            found = rows(connection, "SELECT pid FROM pg_stat_activity WHERE application_name = 'overlord'")
    finally:
        connection.close()
    if not found:
        return None
    stopped = [psutil.Process(context.dice.choice(found)["pid"])]
    stopped[0].suspend()
    return lambda: _go_on(stopped)


def hold_a_lock(context: Context) -> Callable[[], None] | None:
    """Lock the counters of a ticket type from outside."""
    connection = connect(context.stage.database_url)
    newest = "SELECT * FROM tickets_inventory ORDER BY ticket_type_id DESC LIMIT 1 FOR UPDATE"
    try:
        rows(connection, newest)
    except psycopg2.Error:
        connection.close()
        raise
    return connection.close


def take_all_connections(context: Context) -> Callable[[], None] | None:
    """Take all free connections of PostgreSQL."""
    taken: list[psycopg2.extensions.connection] = []
    with contextlib.suppress(psycopg2.OperationalError):
        for _ in range(300):
            taken.append(psycopg2.connect(context.stage.database_url, connect_timeout=2))

    def end() -> None:
        for each in taken:
            each.close()

    return end if taken else None


# Redis ---------------------------------------------------------------------------------------------------
def empty_redis(context: Context) -> Callable[[], None] | None:
    context.redis().flushall()
    return nothing


def kill_and_erase_redis(context: Context) -> Callable[[], None] | None:
    """Kill Redis, and lose what it kept on its disk."""
    process = context.stage.found("valkey-server") or context.stage.found("valkey")
    if process is None:
        return None
    process.kill()
    for file in (context.stage.small_disk / "valkey").rglob("*.aof"):
        with contextlib.suppress(FileNotFoundError):
            os.truncate(file, 0)
    return nothing


def fill_redis(context: Context) -> Callable[[], None] | None:
    """Let Redis refuse each write, as it does when it has no memory left."""
    context.redis().config_set("maxmemory", "1")

    def end() -> None:
        for _ in range(50):
            with contextlib.suppress(redis.RedisError):
                context.redis().config_set("maxmemory", "0")
                return
            time.sleep(0.1)

    return end


# The disk ------------------------------------------------------------------------------------------------
def fill_disk(context: Context) -> Callable[[], None] | None:
    """Fill the small disk on which PostgreSQL and Redis keep their data."""
    if not context.stage.has_small_disk:
        return None
    file = context.stage.small_disk / FILLER
    with contextlib.suppress(OSError), file.open("wb") as output:
        while True:
            output.write(bytes(1_000_000))
    return lambda: file.unlink(missing_ok=True)


def drop_screens(context: Context) -> Callable[[], None] | None:
    context.drop_screens()
    return nothing


def menu(stage: Stage) -> list[Fault]:
    """Return all faults that are possible on this stage."""
    valkey = "valkey-server" if stage.found("valkey-server") else "valkey"
    found = [Fault(f"process killed: {name}", kill(name), rests=name, weight=2) for name in OURS]
    found += [
        Fault(f"process ended: {name}", kill(name, signal.SIGTERM), rests=name, weight=1) for name in OURS
    ]
    found += [
        Fault(f"process stopped: {name}", stop(name), (0.5, 6.0), rests=name, weight=2) for name in OURS
    ]
    found += [
        Fault("process killed: one of web's", kill_child("web"), weight=4),
        Fault("process killed: postgres", kill("postgres"), rests="postgres", weight=3),
        Fault("process stopped: postgres", stop("postgres"), (0.5, 4.0), rests="postgres", weight=2),
        Fault("process killed: redis", kill(valkey), rests="redis", weight=3),
        Fault("process stopped: redis", stop(valkey), (0.5, 5.0), rests="redis", weight=3),
        Fault("postgres: connections ended", end_connections, weight=10),
        Fault("postgres: a backend killed", kill_a_backend, rests="postgres", weight=3),
        Fault("postgres: a backend stopped", stop_a_backend, (0.5, 4.0), weight=6),
        Fault("postgres: a lock held", hold_a_lock, (0.5, 5.0), weight=6),
        Fault("postgres: all connections taken", take_all_connections, (0.5, 3.0), weight=3, alone="pool"),
        Fault("redis: emptied", empty_redis, weight=10),
        Fault("redis: killed, and its data lost", kill_and_erase_redis, rests="redis", weight=3),
        Fault("redis: full", fill_redis, (0.5, 5.0), weight=6, alone="memory"),
        Fault("clients: all screens cut", drop_screens, weight=6),
        Fault("disk: full", fill_disk, (0.5, 4.0), rests="disk", weight=3, alone="disk"),
    ]
    for edge in ("postgres", "redis"):
        found += [
            Fault(f"network: {edge} late", spoil(edge, "latency", (0.02, 0.3)), (0.5, 5.0), 6, alone=edge),
            Fault(f"network: {edge} narrow", spoil(edge, "slow", (4e3, 4e4)), (0.5, 4.0), 6, alone=edge),
            Fault(f"network: {edge} cut", spoil(edge, "cut"), (0.1, 3.0), 10, alone=edge),
            Fault(f"network: {edge} drops everything", spoil(edge, "black_hole"), (0.5, 6.0), 6, alone=edge),
        ]  # fmt: skip
    lost = spoil("postgres", "swallow", share=(0.5, 1.0))
    found.append(Fault("network: postgres, answers to COMMIT lost", lost, (0.5, 3.0), 16, alone="postgres"))
    return found
