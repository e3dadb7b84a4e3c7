"""Measure reservations over HTTP, beside PostgreSQL alone, the framework alone and a naive implementation."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import load, pgbench, sale
from benchmarks.cpu import Meter
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.kernel import db

CONNECTIONS = 16
KNOWN = 4_096  # buyers whose tokens are cached; no arm serves as many in a round
GROUPS = ("postgres", "valkey", "workers", "client")


@dataclass
class Arm:
    """An HTTP arm: a server, the connections to it, and the claims that they send."""

    name: str
    crowd: Load
    web: str
    claims: Callable[[int], list[Iterator[bytes]]]  # by round: the claims of each connection


def run(system: System, scale: Scale) -> Report:
    """Measure reservations."""
    sale.clear()
    sale.buyers_make((1 + scale.rounds) * KNOWN)  # the strangers of each round are others
    db.rows("CREATE SEQUENCE IF NOT EXISTS bench_buyer")
    types = sale.event_make(types=16)
    system.start_workers()
    arms = _arms(system, types)
    report = Report("Reserve")
    turns = [_http(system, report, arm) for arm in arms]
    turns += [
        _pgbench(system, report, "pgbench, one type", types[:1]),
        _pgbench(system, report, "pgbench, sixteen types", types),
        _pgbench(
            system, report, "pgbench, one type, commits not awaited", types[:1], "-c synchronous_commit=off"
        ),
    ]
    for nth in range(scale.rounds):
        for turn in turns if nth % 2 == 0 else reversed(turns):
            _stay_connected(arms)
            turn(nth, scale.seconds)
    for arm in arms:
        arm.crowd.close()
    _set_goals(report)
    return report


def _arms(system: System, types: list[int]) -> list[Arm]:
    ours = system.start_web("ours")
    strangers = system.start_web("strangers")
    stub = system.start_web("stub", "benchmarks.arms.stub:application")
    naive = system.start_web("naive", "benchmarks.arms.naive.wsgi:application")
    known = Load(ours, CONNECTIONS)
    stubbed = Load(stub, CONNECTIONS)
    for line in (known, stubbed):
        line.run([sale.looks(buyers) for buyers in _shares(range(1, KNOWN + 1))], seconds=600)

    def of_known(claimed: list[int]) -> Callable[[int], list[Iterator[bytes]]]:
        return lambda nth: [sale.claims(buyers, claimed) for buyers in _shares(range(1, KNOWN + 1))]

    def of_strangers(nth: int) -> list[Iterator[bytes]]:
        first = KNOWN + 1 + nth * KNOWN
        return [sale.claims(buyers, types[:1]) for buyers in _shares(range(first, first + KNOWN))]

    return [
        Arm("ours, one type", known, "ours", of_known(types[:1])),
        Arm("ours, sixteen types", known, "ours", of_known(types)),
        Arm("ours, one type, strangers", Load(strangers, CONNECTIONS), "strangers", of_strangers),
        Arm("database stubbed", stubbed, "stub", of_known(types[:1])),
        Arm("naive, one type", Load(naive, CONNECTIONS), "naive", of_known(types[:1])),
    ]


def _stay_connected(arms: list[Arm]) -> None:
    """Keep the connections open: Granian closes one after 30 s without a request.

    A new connection may lead to another process, which has not cached the tokens of the connection's buyers.
    """
    for arm in arms:
        arm.crowd.run([iter([load.request("GET", "/livez/")]) for _ in range(CONNECTIONS)], seconds=60)


def _shares(buyers: range) -> list[range]:
    """Return the buyers of each connection, always the same ones: its process has cached their tokens."""
    return [buyers[nth::CONNECTIONS] for nth in range(CONNECTIONS)]


def _http(system: System, report: Report, arm: Arm) -> Callable[[int, float], None]:
    def turn(nth: int, seconds: float) -> None:
        sale.reset()
        meter = Meter(system, {"web": [arm.web], **_others(system)})
        tally = arm.crowd.run(arm.claims(nth), seconds=seconds)
        spent = meter.spent()
        if arm.web != "stub":
            sale.check(tally)
        add(report, arm.name, tally, tally.statuses[201], spent)

    return turn


def _others(system: System) -> dict[str, list[str]]:
    workers: list[str] = [
        name for name in ("payments", "broadcasts", "upkeep", "beat") if name in system.children
    ]
    return {"postgres": ["postgres"], "valkey": ["valkey"], "workers": workers}


def add(report: Report, arm: str, tally: Tally, done: int, spent: dict[str, float]) -> None:
    """Add a round: requests a second, their latency, and each group's CPU for a request in microseconds."""
    if not done:
        raise sale.BrokenError(f"{arm} did nothing: {dict(tally.statuses)}")
    latency = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
    cpu = {f"{group} us": seconds / done * 1e6 for group, seconds in spent.items()}
    report.add(arm, **{"a second": done / tally.seconds, **latency, **cpu})


def _pgbench(
    system: System, report: Report, name: str, types: list[int], options: str = ""
) -> Callable[[int, float], None]:
    def turn(nth: int, seconds: float) -> None:
        sale.reset()
        db.rows("SELECT setval('bench_buyer', 1, false)")
        meter = Meter(system, _others(system))
        script = pgbench.claim(types)
        rate = pgbench.run(system, script, clients=CONNECTIONS, seconds=seconds, options=options)
        [row] = db.rows("SELECT count(*) AS made FROM tickets_reservation")
        cpu = {f"{group} us": spent / row["made"] * 1e6 for group, spent in meter.spent().items()}
        sale.check()
        report.add(name, **{"a second": rate, **cpu})

    return turn


def _set_goals(report: Report) -> None:
    ours, cores = "ours, one type", os.cpu_count() or 1
    # The CPU of one reservation, in all processes together.
    total = sum(report.median(ours, column) for column in report.arms[ours] if column.endswith(" us"))
    best = cores * 1e6 / total
    pgbench_rate = report.median("pgbench, one type", "a second")
    stub_total = sum(report.median("database stubbed", c) for c in report.arms[ours] if c.endswith(" us"))
    rate = "a second"
    report.goals += [
        Goal(
            name="one type: share of pgbench's rate", measured=report.ratios(ours, "pgbench, one type", rate),
            least=0.25, aim=0.5, bound=min(1.0, best / pgbench_rate),
        ),
        Goal(
            name="one type: share of the view's rate without a database",
            measured=report.ratios(ours, "database stubbed", rate), least=0.6, aim=0.7, bound=stub_total / total,
        ),
        Goal(
            name="one type: times the rate of the naive way", measured=report.ratios(ours, "naive, one type", rate),
            least=2.5, aim=4,
        ),
        Goal(
            name="one type: share of the rate of sixteen types",
            measured=report.ratios(ours, "ours, sixteen types", rate),
            least=0.9, bound=1.0,
        ),
    ]  # fmt: skip
    report.notes.append(
        f"At {total:,.0f} us of CPU for a reservation, {cores} busy cores could serve {best:,.0f} a second."
    )
