"""Measure how growth slows a system down: send the same requests to a small and to a large one, in turn.

The small system has a thousand reservations and 100 events, the large one a million and 100,000. They are two
databases of one PostgreSQL, each with a Granian and a Valkey database of its own. Latency is measured over one
connection, the systems in turn. An event is read from PostgreSQL each time: its cached copy is deleted before.
`grown.probe` counts queries, shared buffers and searches of an index, in a process of its own.

An index of 150 rows has one page, an index of 150,000 rows three levels. So the two buffers that growth may add are
counted for each search of an index, not for each request: one request makes one search, another forty.

The page of stats is compared at the last hundred events, where both systems show the same. That a page costs the
same wherever it begins is measured at the first and the last thousand events of the large system.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import redis

from benchmarks import sale
from benchmarks.grown import sizes
from benchmarks.grown.sizes import Asked, Size
from benchmarks.load import Load, request
from benchmarks.report import Goal, Report, Scale
from benchmarks.system import EMPTY_DATABASE, System
from overlord.embedded import program
from overlord.embedded.servers import DATABASE
from overlord.kernel import db
from realtime import store

LOOSER = ("events, deep page", "stats of events")  # their goal is 1.2; that of the others is 1.1
FIRST, LAST = "stats, first thousand", "stats, last thousand"
TOP = "stats, top five"


class Grown:
    """A system of one size: its database and its web server."""

    def __init__(self, system: System, size: Size, number: int) -> None:
        self.size = size
        self._database = f"{DATABASE}_{size.name}"
        address = {
            "DATABASE_URL": system.postgres.url.removesuffix(DATABASE) + self._database,
            "REDIS_URL": f"{system.valkey.url.rpartition('/')[0]}/{number}",
        }
        self._env = {**system.env, **address}
        self._kept = redis.Redis.from_url(address["REDIS_URL"])
        db.rows(f"CREATE DATABASE {self._database} TEMPLATE {EMPTY_DATABASE}")
        self.child("seed")
        self._line = Load(system.start_web(size.name, **address), 1)

    def close(self) -> None:
        self._line.close()
        self._kept.close()
        db.rows(f"DROP DATABASE {self._database} WITH (FORCE)")

    def ask(self, wanted: Asked) -> float:
        """Send a request; return the seconds until the answer."""
        self._kept.delete(store.value_key(f"event:{wanted.event}"))
        data = request(wanted.method, wanted.path, token=wanted.token, body=wanted.body)
        tally = self._line.run([iter([data])], seconds=60)
        if tally.statuses != {wanted.status: 1}:
            raise sale.BrokenError(f"{wanted} was answered with {dict(tally.statuses)}.")
        return tally.latencies[0]

    def child(self, module: str, *arguments: int) -> Any:
        """Run a module of `grown` on this database, in a process of its own, and return what it prints."""
        numbers = map(str, (self.size.events, self.size.reservations, *arguments))
        argv = [sys.executable, "-m", "benchmarks.grown", module, *numbers]
        ended = subprocess.run(
            argv, env=self._env, cwd=program.ROOT, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise sale.BrokenError(f"{module} of the {self.size.name} system failed: {ended.stderr}")
        return json.loads(ended.stdout or "null")


def run(system: System, scale: Scale) -> Report:
    """Measure growth."""
    report = Report("Growth")
    small = Size("small", 100, 1_000)
    large = Size("large", scale.pick(4_000, 100_000), scale.pick(20_000, 1_000_000))
    with _grown(system, small, 1) as little, _grown(system, large, 2) as much:
        _work(report, little, much)
        for nth in range(scale.rounds):
            _ticks(report, [little, much] if nth % 2 == 0 else [much, little])
            _latencies(report, little, much, nth * scale.pick(20, 40), scale.pick(20, 40))
            _pages(report, little, much, scale.pick(3, 10))
    _set_goals(report)
    return report


@contextmanager
def _grown(system: System, size: Size, number: int) -> Iterator[Grown]:
    grown = Grown(system, size, number)
    try:
        yield grown
    finally:
        grown.close()


def _latencies(report: Report, little: Grown, much: Grown, first: int, count: int) -> None:
    """Send both systems the same requests, in turn, and add the medians."""
    for (name, of_little), of_much in zip(
        sizes.asked(little.size).items(), sizes.asked(much.size).values(), strict=True
    ):
        pairs = []
        for nth in range(first, first + count):
            turns = [(little, of_little), (much, of_much)]
            times = {grown: grown.ask(of(nth)) for grown, of in (turns if nth % 2 == 0 else reversed(turns))}
            pairs.append((times[little], times[much]))
        _add(report, name, *zip(*pairs, strict=True))


def _add(report: Report, arm: str, small: tuple[float, ...], large: tuple[float, ...]) -> None:
    report.add(
        arm, **{"small ms": statistics.median(small) * 1000, "large ms": statistics.median(large) * 1000}
    )


def _work(report: Report, little: Grown, much: Grown) -> None:
    """Count what requests do in PostgreSQL, with the plans of the large system in both.

    So only a deeper index may make a difference; any other difference is a fault.
    """
    small = little.child("probe", much.size.reservations // little.size.reservations)
    large = much.child("probe", 1)
    for name in small:
        for what in ("queries", "buffers", "searches"):
            report.add(name, **{f"small {what}": small[name][what], f"large {what}": large[name][what]})


def _ticks(report: Report, systems: list[Grown]) -> None:
    times = {grown.size.name: tuple(grown.child("ticks", 100)) for grown in systems}
    _add(report, sizes.SWEEPER, times["small"], times["large"])


def _pages(report: Report, little: Grown, much: Grown, count: int) -> None:
    """Measure the first and the last thousand events of the large system, and the five highest of both."""
    size = much.size
    arms = {
        FIRST: sizes.stats_after(size, 0, rows=sizes.PAGE),
        LAST: sizes.stats_after(size, size.events - sizes.PAGE, rows=sizes.PAGE),
        TOP: sizes.top(size),
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    for name in list(chain(arms, reversed(arms))) * count:
        times[name].append(much.ask(arms[name]))
    for name, taken in times.items():
        report.add(name, **{"large ms": statistics.median(taken) * 1000})
    report.add(TOP, **{"small ms": little.ask(sizes.top(little.size)) * 1000})


def _set_goals(report: Report) -> None:
    arms = [name for name, columns in report.arms.items() if "small queries" in columns]
    for name in arms:
        most = 1.2 if name in LOOSER else 1.1
        report.goals.append(Goal(name=f"{name}: p50", measured=_grown_times(report, name), most=most))
    pages = report.ratios(FIRST, LAST, "large ms")
    report.goals.append(
        Goal(name="stats of events: first page, times the last page", measured=pages, most=1.2)
    )
    five = report.rounds(TOP, "large ms")
    report.goals.append(Goal(name=f"{TOP}: p50 with a million rows", measured=five, most=10, unit="ms"))
    for name in arms:
        queries, buffers, searches = (
            [_only(report, name, f"{size} {what}") for size in ("small", "large")]
            for what in ("queries", "buffers", "searches")
        )
        report.goals.append(
            Goal(name=f"{name}: additional queries", measured=[queries[1] - queries[0]], most=0)
        )
        more = (buffers[1] - buffers[0]) / max(1, searches[0])
        report.goals.append(Goal(name=f"{name}: additional buffers a search", measured=[more], most=2))


def _grown_times(report: Report, arm: str) -> list[float]:
    pairs = zip(report.rounds(arm, "small ms"), report.rounds(arm, "large ms"), strict=True)
    return [large / small for small, large in pairs]


def _only(report: Report, arm: str, column: str) -> float:
    [value] = report.rounds(arm, column)
    return value
