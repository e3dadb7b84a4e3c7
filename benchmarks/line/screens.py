"""Measure the CPU of waiting sockets beside Node's `ws`, and how soon they show that the line moved."""

import json
import re
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.utils import timezone

from benchmarks import sale, schedstat
from benchmarks.fanout import arms
from benchmarks.fanout.sockets import Crowd
from benchmarks.line import book
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.kernel import db
from overlord.kernel.rendering import dumps
from tickets.line import operations, projections, services

OURS, NODE, BARE = "screens, ours", "screens, `ws`", "screens, sending alone"
SHOWN, CPU = "p99 ms", "us a socket and update"  # a heartbeat counts as an update: Node's server sends none
APART = 0.5  # seconds, as long as the giver's tick
SETTLED = 10.0
_SERVED = re.compile(rb'"served": ?(\d+)')


@dataclass(frozen=True)
class _Arm:
    """A server with sockets. `move` sets the served counter of its line."""

    name: str
    port: int
    path: str
    pid: int
    move: Callable[[int], None]


def measure(system: System, scale: Scale, report: Report) -> None:
    """Move the served counter of a line some times, and read each of the many sockets that watch it.

    Our server, Node's and a server that only sends take turns. Each turn has new sockets. There are so many sockets
    that the work that a server does each second without them counts little.
    """
    sockets, moves = scale.pick(500, 3_000), scale.pick(4, 8)
    _allow_files(sockets)
    sale.clear()
    event_id = book.line_make(people=1_000, tickets=1_000)
    services.draw(event_id=event_id)
    system.start_workers()
    system.stop("upkeep")  # nobody else serves
    port = system.start_live()
    path = f"/ws/line/{event_id}/"
    arms = [_Arm(OURS, port, path, system.children["live"].pid, lambda each: _serve(event_id, each))]
    arms += _others(system, _state(event_id))
    for nth in range(scale.rounds):
        numbers = range(nth * moves + 1, (nth + 1) * moves + 1)
        for arm in arms if nth % 2 == 0 else reversed(arms):
            report.add(arm.name, **_move(arm, numbers, sockets=sockets))
    report.notes.append(f"{sockets:,} sockets watch the line; CPU of the server alone.")


def set_goals(report: Report) -> None:
    """Set the goals of the screens."""
    report.goals.append(
        Goal(name="served to screen, p99", measured=report.rounds(OURS, SHOWN), most=1000, unit="ms")
    )
    if NODE not in report.arms:
        report.notes.append("Node and its packages are not installed, so there is no comparison with `ws`.")
        return
    bound = report.median(BARE, CPU) / report.median(NODE, CPU)
    report.goals.append(
        Goal(
            name="CPU a socket and update: times that of `ws`",
            measured=report.ratios(OURS, NODE, CPU), most=15 / 18, bound=bound,
        )
    )  # fmt: skip


def _move(arm: _Arm, numbers: Sequence[int], *, sockets: int) -> dict[str, float]:
    """Move the counter every half second; return how soon the sockets show it, and what that costs the server."""
    crowd = Crowd(arm.port, arm.path, sockets)
    try:
        crowd.read_until(time.monotonic() + 2.0)  # the snapshots
        heartbeats = crowd.heartbeats()
        cpu = schedstat.cpu(arm.pid)
        ages: list[float] = []
        for served in numbers:
            began = time.monotonic()
            arm.move(served)
            ages += _ages(crowd, served, began)
            crowd.read_until(began + APART)
        spent = schedstat.cpu(arm.pid) - cpu
        heartbeats = crowd.heartbeats() - heartbeats
    finally:
        crowd.close()
    return {
        "p50 ms": percentile(ages, 0.5) * 1000,
        SHOWN: percentile(ages, 0.99) * 1000,
        CPU: spent * 1e6 / (len(ages) + heartbeats),
    }


def _ages(crowd: Crowd, served: int, began: float) -> list[float]:
    """Return for each socket the seconds until it showed the counter. Raise BrokenError if one never does."""
    ages: dict[int, float] = {}
    while len(ages) < len(crowd.clients):
        if time.monotonic() - began > SETTLED:
            raise sale.BrokenError(
                f"{len(crowd.clients) - len(ages)} sockets do not show the served counter."
            )
        for key, _ in crowd.selector.select(0.05):
            key.data.read()
            found = _SERVED.search(key.data.last)
            if found and int(found[1]) >= served:
                ages.setdefault(id(key.data), time.monotonic() - began)
    return list(ages.values())


def _serve(event_id: int, served: int) -> None:
    with db.transaction():
        line = operations.line_lock(event_id=event_id)
        if line is not None:
            operations.line_changed(line=line, served=served)


def _state(event_id: int) -> dict[str, Any]:
    state: dict[str, Any] = projections.line_shown(event_id=event_id, now=timezone.now())
    return state


def _others(system: System, state: dict[str, Any]) -> list[_Arm]:
    """Start the servers that are compared with ours and send the same frames; without Node, not its server."""
    nodes = [arm for arm in arms.all_arms(system.valkey) if arm.name == "ws"]
    plain: dict[str, Any] = json.loads(dumps(state))
    others = []
    for name, arm in [*((NODE, each) for each in nodes), (BARE, arms.bare(system.valkey))]:
        system.start(arm.program)
        pid = system.children[arm.program.name].pid
        others.append(_Arm(name, arm.port, arm.path, pid, partial(_publish, arm, plain)))
    return others


def _publish(arm: arms.Arm, state: dict[str, Any], served: int) -> None:
    arm.publish(served, {**state, "served": served})


def _allow_files(sockets: int) -> None:
    """Let this process open this number of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
