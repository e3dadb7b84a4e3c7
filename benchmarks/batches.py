"""Measure orders of three ticket types, and the check of the buyer, beside single claims, in PostgreSQL alone.

Each arm repeats one statement of `tickets.sql`, each time for the next buyer.
"""

from benchmarks import pgbench, sale
from benchmarks.cpu import Meter
from benchmarks.report import Goal, Report, Scale
from benchmarks.system import System
from overlord.kernel import db

CLIENTS = 16
MOST = 60_000  # buyers; no round serves as many


def run(system: System, scale: Scale) -> Report:
    """Measure orders of three types, of one type, and single claims with and without limits."""
    sale.clear()
    sale.buyers_make(MOST)
    db.rows("CREATE SEQUENCE IF NOT EXISTS bench_buyer")
    types = sale.event_make(types=3)
    report = Report("Batches")
    arms = {
        "single claim": pgbench.claim(types[:1], limits=pgbench.LIMITED),
        "order of three types": pgbench.order(types, limits=pgbench.LIMITED),
        "order of one type": pgbench.order(types[:1], limits=pgbench.LIMITED),
        "single claim, limits off": pgbench.claim(types[:1]),
        "single claim, buyer not checked": pgbench.claim_unchecked(types[:1]),
    }
    for nth in range(scale.rounds):
        for name, script in arms.items() if nth % 2 == 0 else reversed(arms.items()):
            _measure(system, report, name, script, scale.seconds)
    time = report.ratios("order of three types", "single claim", "postgres us")
    check = report.ratios("single claim", "single claim, buyer not checked", "postgres us")
    report.goals += [
        Goal(name="three types in one order, PostgreSQL's time of a single claim", measured=time, most=2)
    ]
    report.notes.append(
        f"With the check of the buyer a claim takes {min(check):.2f} to {max(check):.2f} times PostgreSQL's time."
    )
    return report


def _measure(system: System, report: Report, name: str, script: str, seconds: float) -> None:
    sale.reset()
    db.rows("SELECT setval('bench_buyer', 1, false)")
    meter = Meter(system, {"postgres": ["postgres"]})
    rate = pgbench.run(system, script, clients=CLIENTS, seconds=seconds)
    spent = meter.spent()
    [row] = db.rows("SELECT count(*) AS made FROM tickets_reservation WHERE lead_id IS NULL")
    sale.check()
    report.add(name, **{"a second": rate, "postgres us": spent["postgres"] / row["made"] * 1e6})
