"""Measure what waiting sockets cost, and how soon they show that the line has moved; beside Node's `ws`."""

import itertools
import json
import re
import resource
import time
from collections.abc import Callable, Iterator
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

OURS, NODE = "screens, ours", "screens, `ws`"
SHOWN, CPU = "p99 ms", "us a socket and update"
APART = 0.5  # seconds: the giver's tick
SETTLED = 10.0
_SERVED = re.compile(rb'"served": ?(\d+)')


def measure(system: System, scale: Scale, report: Report) -> None:
    """Move the served counter of a line that many sockets watch, some times, and look at each socket."""
    sockets, moves = scale.pick(50, 5_000), scale.pick(4, 20)
    _allow_files(sockets)
    sale.clear()
    event_id = book.line_make(people=1_000, tickets=1_000)
    services.draw(event_id=event_id)
    system.start_workers()
    system.stop("upkeep")  # nobody else serves
    port, numbers = system.start_live(), itertools.count(1)
    for _ in range(scale.rounds):
        crowd = Crowd(port, f"/ws/line/{event_id}/", sockets)
        pid = system.children["live"].pid
        report.add(
            OURS, **_move(crowd, pid, itertools.islice(numbers, moves), lambda each: _serve(event_id, each))
        )
    _beside_node(system, scale, report, _state(event_id), sockets=sockets, moves=moves)
    report.notes.append(f"{sockets:,} sockets watch the line; CPU of the server alone.")


def set_goals(report: Report) -> None:
    """Set the goals of the screens."""
    report.goals.append(
        Goal(name="served to screen, p99", measured=report.rounds(OURS, SHOWN), most=1000, unit="ms")
    )
    if NODE not in report.arms:
        report.notes.append("Node and its packages are not installed, so there is no comparison with `ws`.")
        return
    ratios = report.ratios(OURS, NODE, CPU)
    report.goals.append(
        Goal(name="CPU a socket and update: times that of `ws`", measured=ratios, most=15 / 18)
    )


def _move(crowd: Crowd, pid: int, numbers: Iterator[int], move: Callable[[int], None]) -> dict[str, float]:
    """Move the counter every half second; return how soon the sockets show it, and what that costs the server."""
    try:
        crowd.read_until(time.monotonic() + 2.0)  # the snapshots
        cpu = schedstat.cpu(pid)
        ages: list[float] = []
        for served in numbers:
            began = time.monotonic()
            move(served)
            ages += _ages(crowd, served, began)
            crowd.read_until(began + APART)
        spent = schedstat.cpu(pid) - cpu
    finally:
        crowd.close()
    return {
        "p50 ms": percentile(ages, 0.5) * 1000,
        SHOWN: percentile(ages, 0.99) * 1000,
        CPU: spent * 1e6 / len(ages),
    }


def _ages(crowd: Crowd, served: int, began: float) -> list[float]:
    """Return for each socket the seconds until it showed the counter; one that never does breaks the arm."""
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


def _beside_node(
    system: System, scale: Scale, report: Report, state: dict[str, Any], *, sockets: int, moves: int
) -> None:
    """Send the same frames to as many sockets of Node's `ws`, if it is there."""
    node = next((arm for arm in arms.all_arms(system.valkey) if arm.name == "ws"), None)
    if node is None:
        return
    system.start(node.program)
    plain: dict[str, Any] = json.loads(dumps(state))
    pid = system.children[node.program.name].pid
    numbers = itertools.count(1)
    for _ in range(scale.rounds):
        crowd = Crowd(node.port, node.path, sockets)
        moved = _move(
            crowd,
            pid,
            itertools.islice(numbers, moves),
            lambda each: node.publish(each, {**plain, "served": each}),
        )
        report.add(NODE, **moved)


def _allow_files(sockets: int) -> None:
    """Let this process have so many sockets open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
