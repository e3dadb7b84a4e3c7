"""The kinds of faults, the order in which they come, and what each does."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.cluster import network, rollout
from tests.cluster.network import APPS
from tests.cluster.stage import Stage


class Fault(StrEnum):
    POSTMASTER = "postmaster killed"
    NODE = "primary's node killed"
    CUT = "primary cut off both ways"
    SPLIT = "primary cut off from the other servers"
    STANDBY = "synchronous standby's node killed"
    ETCD = "etcd's leader killed"
    SWITCH = "planned switch"
    VALKEY = "Valkey's node killed"
    APPLICATION = "machine of the application cut off"
    DEPLOY = "deploy"


# Seconds until it is mended. A node that is cut off keeps its lock for `ttl`, so a cut outlasts that.
LASTS = {
    Fault.POSTMASTER: 15.0,
    Fault.NODE: 35.0,
    Fault.CUT: 40.0,
    Fault.SPLIT: 40.0,
    Fault.STANDBY: 15.0,
    Fault.ETCD: 12.0,
    Fault.SWITCH: 12.0,
    Fault.VALKEY: 15.0,
    Fault.APPLICATION: 15.0,
    Fault.DEPLOY: 5.0,
}
MENDS_ITSELF = {Fault.POSTMASTER, Fault.SWITCH, Fault.DEPLOY}  # the wait ends once the cluster is whole again


def plan(seed: int, kinds: Iterable[Fault]) -> Iterable[Fault]:
    """Yield the kinds without end, each once before any comes again, in an order that the seed decides."""
    dice, kinds = random.Random(seed), sorted(kinds)  # noqa: S311
    while True:
        order = list(kinds)
        dice.shuffle(order)
        yield from order


def named(words: str) -> list[Fault]:
    """Return the kinds whose name holds one of the words, which commas separate; all for none."""
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    return [fault for fault in Fault if not wanted or any(word in fault for word in wanted)]


@dataclass
class Breaker:
    """The faults on the cluster: begin and heal them."""

    stage: Stage
    rest: rollout.Rest  # lets time pass, and starts processes again that have ended

    def make(self, fault: Fault) -> Callable[[], None]:
        """Make a fault, and return the function that mends it. Raises LookupError if there is no target now."""
        stage = self.stage
        primary = _there(stage.primary())
        match fault:
            case Fault.POSTMASTER:
                stage.kill_postmaster(primary)
            case Fault.NODE:
                return self._kill(primary)
            case Fault.CUT:
                network.cut(primary)
                return lambda: network.heal(primary)
            case Fault.SPLIT:
                network.cut(primary, "p")
                return lambda: network.heal(primary)
            case Fault.STANDBY:
                return self._kill(_there(stage.awaited_standby()))
            case Fault.ETCD:
                return self._kill_process("etcd", _there(stage.etcd_leader()))
            case Fault.SWITCH:
                stage.switch_over(primary)
            case Fault.VALKEY:
                return self._kill(_there(stage.valkey_primary()))
            case Fault.APPLICATION:  # the name server still names it; the readings need the other machine
                network.cut(APPS[-1])
                return lambda: network.heal(APPS[-1])
            case Fault.DEPLOY:
                rollout.deploy(stage, self.rest)
        return lambda: None

    def _kill(self, machine: str) -> Callable[[], None]:
        self.stage.kill_machine(machine)
        return lambda: self.stage.revive(machine)

    def _kill_process(self, name: str, machine: str) -> Callable[[], None]:
        process = self.stage.processes.pop(f"{name}@{machine}")  # so that it is not started again at once
        process.kill()

        def mend() -> None:
            self.stage.processes[f"{name}@{machine}"] = process

        return mend


def _there(machine: str | None) -> str:
    if machine is None:
        raise LookupError("no machine has that part now")
    return machine
