"""Measure the live lag: from a reservation's commit until a socket of its event shows it or a later change.

The time of the commit is PostgreSQL's own (`track_commit_timestamp`). PostgreSQL reads the clock before it writes
the commit to the disk, so the lag includes that write. The arrival is timed in a process that only listens, on the
same machine.
"""

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator

from benchmarks import sale
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from benchmarks.watcher import WATCHERS, Shown, watching
from overlord.kernel import db

CONNECTIONS = 16  # as in `reserve`
BUYERS = 20_000
APART = 0.3  # seconds between the reservations of the idle arm
IDLE, BUSY = "one every 0.3 s", f"{CONNECTIONS} connections"

# The lock of the inventory lets the reservations of a type commit one after the other. So their commits are in the
# order of the type's versions.
_COMMITS = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) AS at FROM tickets_reservation ORDER BY at
"""
_STOCK = "SELECT version, held, sold FROM tickets_inventory"


def run(system: System, scale: Scale) -> Report:
    """Measure the live lag."""
    sale.clear()
    sale.buyers_make(BUYERS)
    types = sale.event_make()
    [event] = db.rows("SELECT id FROM tickets_event")
    system.start_workers()
    web, path = system.start_web("web"), f"/ws/events/{event['id']}/"
    live = system.start_live()
    report = Report("Live lag")
    with contextlib.closing(Load(web, 1)) as one, contextlib.closing(Load(web, CONNECTIONS)) as many:
        turns: dict[str, Callable[[], Tally]] = {
            IDLE: lambda: one.run(_claims(1, types), seconds=scale.seconds * 2, rate=1 / APART),
            BUSY: lambda: many.run(_claims(CONNECTIONS, types), seconds=scale.seconds),
        }
        turns[BUSY]()  # warm up the processes and the token caches of most buyers
        for nth in range(scale.rounds):
            for name in turns if nth % 2 == 0 else reversed(turns):
                _measure(report, name, turns[name], live, path)
    _conclude(report)
    return report


def _claims(connections: int, types: list[int]) -> list[Iterator[bytes]]:
    return [sale.claims(range(nth, BUYERS, connections), types) for nth in range(1, connections + 1)]


def _measure(report: Report, arm: str, turn: Callable[[], Tally], port: int, path: str) -> None:
    sale.reset()
    [before] = db.rows(_STOCK)
    with watching(port, path) as watch:
        tally = turn()
        sale.check(tally)
        [stock] = db.rows(_STOCK)
        watch.send(stock["version"])
        screens: list[list[Shown]] = watch.recv()
    commits = [float(row["at"]) for row in db.rows(_COMMITS)]
    if stock["version"] != before["version"] + len(commits):
        raise sale.BrokenError("Something other than the reservations changed the ticket type.")
    ages = [age for shown in screens for age in _ages(commits, before["version"], shown, stock)]
    # The first frame of each socket is its snapshot, and no update.
    updates = sum(len(shown) - 1 for shown in screens) / WATCHERS
    report.add(
        arm,
        **{
            "p50 ms": percentile(ages, 0.5) * 1000,
            "p99 ms": percentile(ages, 0.99) * 1000,
            "most ms": max(ages) * 1000,
            "changes a second": tally.rate(201),
            "updates a second and socket": updates / tally.seconds,
        },
    )


def _ages(commits: list[float], base: int, shown: list[Shown], stock: dict[str, int]) -> list[float]:
    """Return for each change after version `base` the seconds until the screen showed it."""
    versions = [state.version for state in shown]
    if versions != sorted(versions):
        raise sale.BrokenError("A screen went back to an older version.")
    if stock != {"version": versions[-1], "held": shown[-1].held, "sold": shown[-1].sold}:
        raise sale.BrokenError(f"A screen shows {shown[-1]} and not the present state, {stock}.")
    firsts = (bisect_left(versions, base + nth) for nth in range(1, len(commits) + 1))
    return [shown[first].at - commit for first, commit in zip(firsts, commits, strict=True)]


def _conclude(report: Report) -> None:
    idle = report.median(IDLE, "p50 ms")
    report.goals.append(
        Goal(
            name="commit to screen under load, p99", measured=report.rounds(BUSY, "p99 ms"), unit="ms",
            most=200, aim=130, bound=100 + idle,
        )
    )  # fmt: skip
    report.notes.append(
        f"Each of {WATCHERS} sockets counts. A socket gets at most ten updates a second, so under load a change"
        f" waits up to 100 ms for the next update, 50 on average; the transport itself takes {idle:.0f} ms."
    )
