"""Measure the CPU that our server and others use for each message that they deliver to many sockets.

All sockets watch one event, whose state changes ten or fifty times a second. The CPU of the clients is not counted.

Our server conflates: if an event changes often, it skips states and sends only the newest one. The arms with
"conflation off" send each change, as the other servers do.
"""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

from benchmarks import schedstat
from benchmarks.fanout.arms import Arm, all_arms
from benchmarks.fanout.sockets import Crowd
from benchmarks.report import Goal, Report, Scale
from benchmarks.system import System
from overlord.kernel import redis_client
from realtime import store
from realtime.store import Frame

OURS, EACH_SENT, NODE = "ours", "ours, conflation off", "ws"
AT_FIFTY = (OURS, EACH_SENT, NODE, "socketio")  # also at fifty changes a second
SETTLED = 5.0  # seconds within which public screens equal the database
WARM_UP = 1.2  # seconds, in which the hub of the arm before also leaves the group of the stream
MESSAGE, CHANGE = "us a message", "us a change and socket"


def run(system: System, scale: Scale) -> Report:
    """Measure the fan-out."""
    redis_client.connection().flushdb()
    store.frames_store([Frame(stream="event.1", version=1, data="{}", fingerprint="")])
    arms, versions = all_arms(system.valkey), iter(range(2, 1 << 60))
    system.start(*(arm.program for arm in arms))
    report = Report("Fan-out")
    turns = [(arm, 10) for arm in arms] + [(arm, 50) for arm in arms if arm.name in AT_FIFTY]
    for nth in range(scale.rounds):
        # In a random order. Otherwise each arm would always follow the same arm, which may be a heavy one.
        for arm, rate in Random(nth).sample(turns, len(turns)):  # noqa: S311
            pid = system.children[arm.program.name].pid
            report.add(f"{arm.name}, {rate}/s", **_measure(arm, pid, rate, versions, scale))
    report.notes.append(f"{_sockets(scale)} sockets on one event; CPU of the server alone, without Valkey's.")
    _set_goals(report)
    return report


def _sockets(scale: Scale) -> int:
    return scale.pick(50, 200)


def _measure(arm: Arm, pid: int, rate: int, versions: Iterator[int], scale: Scale) -> dict[str, float]:
    sockets = _sockets(scale)
    seconds = 0.5 if scale.quick else 2.5
    crowd = Crowd(arm.port, arm.path, sockets)
    try:
        _publish(arm, crowd, versions, rate=rate, seconds=WARM_UP)
        crowd.read_until(time.monotonic() + 0.2)
        messages, cpu = crowd.messages(), schedstat.cpu(pid)
        changes, version = _publish(arm, crowd, versions, rate=rate, seconds=seconds)
        behind = _behind(crowd, version)
        spent, delivered = schedstat.cpu(pid) - cpu, crowd.messages() - messages
    finally:
        crowd.close()
    return {
        MESSAGE: spent * 1e6 / max(1, delivered),
        CHANGE: spent * 1e6 / (changes * sockets),
        "messages a second and socket": delivered / sockets / seconds,
        "behind": behind,
    }


def _publish(
    arm: Arm, crowd: Crowd, versions: Iterator[int], *, rate: int, seconds: float
) -> tuple[int, int]:
    """Publish `rate` changes a second, evenly, for `seconds`; return their number and the last version."""
    changes, version = int(rate * seconds), 0
    started = time.monotonic()
    for nth in range(changes):
        crowd.read_until(started + nth / rate)
        version = next(versions)
        arm.publish(version, _event(version))
    return changes, version


def _behind(crowd: Crowd, version: int) -> int:
    """Return how many sockets do not show the version within `SETTLED` seconds."""
    until, behind = time.monotonic() + SETTLED, len(crowd.clients)
    while behind and time.monotonic() < until:
        crowd.read_until(time.monotonic() + 0.3)
        behind = sum(not client.shows(version) for client in crowd.clients)
    return behind


def _event(version: int) -> dict[str, Any]:
    """Return an event of two ticket types, as its stream shows it."""
    ticket_type = {
        "event": 1, "ticket_type": "Regular", "price": "15.00", "currency": "EUR", "amount": 5000,
        "available": 4000, "held": 500, "sold": 500, "max_per_user": 10, "sale": "open", "opens_at": None,
        "closes_at": "2026-12-24T20:00:00Z", "next_release_at": "2026-11-22T20:00:00.123456Z", "version": version,
    }  # fmt: skip
    return {
        "id": 1, "name": "A concert", "date": "2026-12-24T20:00:00Z", "time_zone": "UTC", "description": "",
        "currency": "EUR",
        "sale": "open", "version": version, "server_time": "2026-11-22T19:50:00.123456Z",
        "tickets": [{"id": 1, **ticket_type}, {"id": 2, **ticket_type}],
    }  # fmt: skip


def _set_goals(report: Report) -> None:
    behind = [count for arm in report.arms if arm.startswith(OURS) for count in report.rounds(arm, "behind")]
    report.goals.append(
        Goal(name="sockets that do not show the last version", measured=[max(behind)], most=0)
    )
    if f"{NODE}, 10/s" not in report.arms:
        report.notes.append(
            "Node and its packages are not installed, so there is no comparison with `ws` and socket.io."
        )
        return
    for rate in (10, 50):
        ratios = report.ratios(f"{EACH_SENT}, {rate}/s", f"{NODE}, {rate}/s", MESSAGE)
        report.goals.append(
            Goal(
                name=f"CPU a message, each change sent, {rate}/s: times that of `ws`",
                measured=ratios,
                most=1.0,
            )
        )
    ratios = report.ratios(f"{OURS}, 50/s", f"{NODE}, 50/s", CHANGE)
    report.goals.append(
        Goal(name="CPU a change and socket, 50/s: times that of `ws`", measured=ratios, most=0.5)
    )
