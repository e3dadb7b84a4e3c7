"""One run: one fault at a time under load. After each, wait until all has settled, and audit.

The main thread starts processes and makes faults. The load and the readings have threads of their own.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from django.db import Error as DjangoError

from checkout.gateways import ledger
from checkout.tests.invariants import READINGS
from tests.chaos.readings import Readings, rows
from tests.cluster.crowd import PacedCrowd, TimedHistory
from tests.cluster.faults import LASTS, MENDS_ITSELF, Breaker, Fault, plan
from tests.cluster.stage import Stage

STEADY_SECONDS = 6.0  # of load before a fault
AFTER_SECONDS = 5.0  # of load after the cluster is whole again
WHOLE_SECONDS = 90.0  # within which it must be whole
LEAST_SECONDS = 3.0  # that any fault lasts
LOOK = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command line."""

    seconds: float
    seed: int
    reservations: float  # a second
    payments: float
    buyers: int
    kinds: list[Fault]
    deadline: float  # seconds in which all must have settled once the load has ended
    folder: Path


class ClusterReadings(Readings):
    """The readings of a cluster. Unacknowledged rows may vanish together with a primary."""

    def _look(self) -> None:
        connection = self._connected()
        with connection:
            for kind, statement in READINGS.items():
                if found := rows(connection, statement):
                    self.note(kind, found[:5])


@dataclass
class Result:
    """The results of a run, for the report."""

    options: Options
    stops: dict[Fault, list[float]] = field(default_factory=lambda: defaultdict(list))
    pages: dict[Fault, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds of each
    # Seconds until all screens showed sales.
    screens: dict[Fault, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[Fault, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by the servers
    failed_before: Counter[str] = field(default_factory=Counter)  # in the calm before deploys
    closes: dict[Fault, Counter[int | None]] = field(default_factory=lambda: defaultdict(Counter))
    not_made: dict[Fault, int] = field(default_factory=lambda: defaultdict(int))
    not_whole: list[str] = field(default_factory=list)
    settlings: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # reservations a second before each fault
    stuck: list[dict[str, Any]] = field(default_factory=list)
    foreign: int = 0
    ledger: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Run:
    """One run, with all its parts."""

    def __init__(self, stage: Stage, options: Options, say: Callable[[str], None]) -> None:
        self.stage, self.options, self._say = stage, options, say
        self.history = TimedHistory(options.folder / "history.jsonl")
        self.readings = ClusterReadings(stage.database_url)
        self.crowd = PacedCrowd(
            stage=stage, history=self.history, buyers=options.buyers, seed=options.seed,
            reservations=options.reservations, payments=options.payments,
        )  # fmt: skip
        self.breaker = Breaker(stage, self._rest)
        self.result = Result(options)

    def go(self) -> Result:
        """Make faults until the time is over."""
        began = time.monotonic()
        with ledger.opened():
            pass  # the ledger makes its tables, which the readings need before anyone pays
        ledger.close()
        self.crowd.begin()
        self.readings.begin()
        try:
            for fault in plan(self.options.seed, self.options.kinds):
                self._round(fault)
                if time.monotonic() - began > self.options.seconds - LASTS[fault]:
                    break
        finally:
            self.readings.end()
            self.crowd.end()
            self.history.close()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _round(self, fault: Fault) -> None:
        self._wait(WHOLE_SECONDS, lambda: self.stage.is_healthy() and self._new_market())
        self.crowd.open(True)
        opened = time.monotonic()
        self._rest(STEADY_SECONDS)
        began = time.monotonic()
        self.result.rates.append(self.history.rate(opened + STEADY_SECONDS / 2, began))
        try:
            mend = self.breaker.make(fault)
        except LookupError:
            self.result.not_made[fault] += 1
            self._settle(fault)
            return
        except RuntimeError as error:
            self.result.not_whole.append(f"{fault}: {error}")
            mend = lambda: None  # noqa: E731
        self._last(fault)
        mend()
        if not self._wait(WHOLE_SECONDS, self.stage.is_healthy):
            self.result.not_whole.append(f"{fault}: {self.stage.members()}")
        self._rest(AFTER_SECONDS)
        self._note(fault, began)
        if fault is Fault.DEPLOY:
            self.result.failed_before += self.history.failed_between(opened, began)
        self._settle(fault)
        stopped, settled = self.result.stops[fault][-1], self.result.settlings[-1]
        self._say(
            f"{fault}: {stopped:.1f} s without an acknowledged reservation, screens"
            f" {self.result.screens[fault][-1]:.1f} s behind, settled after {settled:.1f} s,"
            f" violations {sum(self.readings.kinds.values())}"
        )

    def _last(self, fault: Fault) -> None:
        """Let a fault last. One that nobody mends lasts until the cluster is whole and sells."""
        made = time.monotonic()
        if fault not in MENDS_ITSELF:
            self._rest(LASTS[fault])
            return
        self._rest(LEAST_SECONDS)
        self._wait(
            LASTS[fault] - LEAST_SECONDS,
            lambda: self.history.granted_since(made + LEAST_SECONDS / 2) and self.stage.is_healthy(),
        )

    def _note(self, fault: Fault, began: float) -> None:
        """Record how a fault looked to clients."""
        result, history, now = self.result, self.history, time.monotonic()
        resumed, stopped = history.longest_gap(began, now)
        result.stops[fault].append(stopped)
        granted = history.granted_between(began, now)
        result.screens[fault].append(
            self.crowd.screens_behind([*granted, resumed], stop=(resumed - stopped, resumed))
        )
        result.pages[fault] += history.pages_between(began, now)
        result.failed[fault] += history.failed_between(began, now)
        result.closes[fault] += self.crowd.closes(began)

    def _settle(self, fault: Fault) -> None:
        """End the load, wait until all has settled, and compare the answers to clients with the database."""
        self.crowd.open(False)
        closed = time.monotonic()
        looks: list[dict[str, Any]] = [{"not read": 1}]

        def settled() -> bool:
            looks.append(self.crowd.waiting(self.readings))
            # Twice: a request of a client while the tables are read is seen at the next look.
            return not any(looks[-2:])

        if not self._wait(self.options.deadline, settled):
            self.result.stuck.append({"after": str(fault), **looks[-1]})
        self.result.settlings.append(time.monotonic() - closed)
        if not self._wait(WHOLE_SECONDS, self._audited):
            self.result.stuck.append({"after": str(fault), "audit": "PostgreSQL did not answer"})
        self.result.foreign += self.crowd.foreign

    def _audited(self) -> bool:
        """Compare the answers to clients with the database; return whether the database answered."""
        try:
            self.result.ledger = self.readings.audit(self.history.facts)
        except psycopg2.Error:
            return False
        return True

    def _new_market(self) -> bool:
        """Put new events on sale; return whether PostgreSQL accepted them."""
        try:
            self.crowd.new_market()
            self.readings.new_round()
        except (DjangoError, psycopg2.Error):
            return False
        return True

    def _wait(self, seconds: float, ready: Callable[[], bool]) -> bool:
        """Wait until `ready` is true, and return whether it became true in time."""
        until = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > until:
                return False
            self._rest(LOOK)
        return True

    def _rest(self, seconds: float) -> None:
        """Let time pass, and start processes again that have ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.stage.keep_running()
            time.sleep(min(LOOK, max(0.0, until - time.monotonic())))
