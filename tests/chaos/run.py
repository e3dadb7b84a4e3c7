"""One chaos run: rounds of a storm under load and a calm in which all must settle.

The main thread starts processes and makes faults. The load and the readings of the invariants have threads of their
own.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkout.gateways import ledger
from tests.chaos.crowd import Crowd
from tests.chaos.faults import Context, Storm
from tests.chaos.history import History, Outcome
from tests.chaos.readings import Readings
from tests.chaos.stage import Stage

STORM_SECONDS = 32.0
STEADY_SECONDS = 14.0  # of load without faults
GRACE_SECONDS = 5.0  # after the first write
STEP = (0.25, 0.9)  # seconds between two faults
LOOK = 0.1


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command line."""

    seconds: float
    seed: int
    buyers: int
    deadline: float  # seconds in which all must have settled after a storm
    folder: Path
    steady: float = STEADY_SECONDS
    only: str = ""  # faults whose kind holds this word
    small_disk: bool = True
    skewed: bool = True


@dataclass
class Result:
    """The results of a run, for the report."""

    options: Options
    rounds: int = 0
    recoveries: list[float] = field(default_factory=list)  # seconds to the first write that was acknowledged
    settlings: list[float] = field(default_factory=list)  # seconds until nothing waited and screens agreed
    stuck: list[dict[str, Any]] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    foreign: int = 0
    ledger: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    unknown_in_calm: int = 0
    done_in_calm: int = 0
    calm_seconds: float = 0.0


class Run:
    """One run, with all its parts."""

    def __init__(self, stage: Stage, options: Options) -> None:
        self.stage, self.options = stage, options
        self.history = History(options.folder / "history.jsonl")
        self.readings = Readings(stage.database_url)
        self.dice = random.Random(options.seed)  # noqa: S311
        self.crowd = Crowd(stage=stage, history=self.history, buyers=options.buyers, seed=options.seed)
        self.storm = Storm(Context(stage, self.dice, self.crowd.drop_screens), only=options.only)
        self.result = Result(options)
        self.proxy_counts: Counter[str] = Counter()

    def go(self) -> Result:
        """Run rounds until the time is over."""
        began = time.monotonic()
        with ledger.opened():
            pass  # the ledger makes its tables, which the readings need before anyone pays
        ledger.close()
        self.crowd.begin()
        self.readings.begin()
        try:
            while (
                not self.result.rounds or time.monotonic() - began < self.options.seconds - STORM_SECONDS / 2
            ):
                left = self.options.seconds - (time.monotonic() - began)
                self._round(storm_seconds=max(8.0, min(STORM_SECONDS, left * 0.6)))
        finally:
            self.readings.end()
            self.crowd.end()
            self.history.close()
        self.result.seconds = time.monotonic() - began
        for edge in ("postgres", "redis"):
            found = self.stage.proxy.command(edge)
            self.proxy_counts.update({f"{edge}: {name}": number for name, number in found.items()})
        return self.result

    def _round(self, *, storm_seconds: float) -> None:
        self.result.rounds += 1
        self.crowd.new_market()
        self.readings.new_round()
        self.crowd.open(True)
        until = time.monotonic() + storm_seconds
        while time.monotonic() < until:
            self.storm.step()
            self._rest(self.dice.uniform(*STEP))
        self.storm.heal(everything=True)
        self._calm(healed=time.monotonic())

    def _steady(self) -> None:
        """Let buyers buy without faults, and count the requests that got no answer."""
        self._rest(min(GRACE_SECONDS, self.options.steady))
        unknown, done = self.history.total(Outcome.UNKNOWN), self.history.total(Outcome.OK)
        began = time.monotonic()
        self._rest(max(0.0, self.options.steady - GRACE_SECONDS))
        self.result.unknown_in_calm += self.history.total(Outcome.UNKNOWN) - unknown
        self.result.calm_seconds += time.monotonic() - began
        self.result.done_in_calm += self.history.total(Outcome.OK) - done

    def _rest(self, seconds: float) -> None:
        """Let time pass, and start processes again that have ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.stage.check()
            self.storm.heal()
            time.sleep(LOOK)

    def _calm(self, *, healed: float) -> None:
        """Wait for the first write that is acknowledged, end the load, and wait until all has settled."""
        while self.history.last_ok <= healed and time.monotonic() - healed < self.options.deadline:
            self._rest(LOOK)
        recovered = self.history.last_ok > healed
        self.result.recoveries.append((self.history.last_ok if recovered else time.monotonic()) - healed)
        if recovered:
            self._steady()
        self.crowd.open(False)
        closed = time.monotonic()
        looks: list[dict[str, Any]] = [{"not read": 1}]
        # Twice: a request of a client while the tables are read, such as a refund, is seen at the next look.
        while any(looks[-2:]) and time.monotonic() - closed < self.options.deadline:
            self._rest(0.3)
            looks.append(self.crowd.waiting(self.readings))
        waiting = looks[-1]
        if waiting:
            self.result.stuck.append({"round": self.result.rounds, **waiting})
            self.result.diverged += [str(each) for each in waiting.get("screens", [])]
        self.result.settlings.append(time.monotonic() - closed)
        self.result.ledger = self.readings.audit(self.history.facts)
        self.result.foreign += self.crowd.foreign
