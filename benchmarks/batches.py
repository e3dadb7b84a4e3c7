"""Measure orders of three ticket types in PostgreSQL alone, beside claims of one type. Both are one statement."""

from benchmarks import pgbench, sale
from benchmarks.cpu import Meter
from benchmarks.report import Goal, Report, Scale
from benchmarks.system import System
from overlord.kernel import db

CLIENTS = 16
MOST = 60_000  # buyers; no round serves as many
# As `tickets.sql.CLAIM_ORDER`, for the next buyer each time.
CLAIM_ORDER = """
SELECT * FROM reservations_claim(
    nextval('bench_buyer'), ARRAY[{types}]::bigint[], ARRAY[{ones}], NULL, NULL, interval '900 s');
"""


def run(system: System, scale: Scale) -> Report:
    """Measure orders of three types, of one type, and single claims."""
    sale.clear()
    sale.buyers_make(MOST)
    db.rows("CREATE SEQUENCE IF NOT EXISTS bench_buyer")
    types = sale.event_make(types=3)
    report = Report("Batches")
    arms = {
        "single claim": pgbench.CLAIM.format(first=types[0], last=types[0]),
        "order of three types": _order(types),
        "order of one type": _order(types[:1]),
    }
    for nth in range(scale.rounds):
        for name, script in arms.items() if nth % 2 == 0 else reversed(arms.items()):
            _measure(system, report, name, script, scale.seconds)
    time = report.ratios("order of three types", "single claim", "postgres us")
    report.goals += [
        Goal(name="three types in one order: times PostgreSQL's time for one claim", measured=time, most=2)
    ]
    return report


def _order(types: list[int]) -> str:
    return CLAIM_ORDER.format(types=", ".join(map(str, types)), ones=", ".join("1" for _ in types))


def _measure(system: System, report: Report, name: str, script: str, seconds: float) -> None:
    sale.reset()
    db.rows("SELECT setval('bench_buyer', 1, false)")
    meter = Meter(system, {"postgres": ["postgres"]})
    rate = pgbench.run(system, script, clients=CLIENTS, seconds=seconds)
    spent = meter.spent()
    [row] = db.rows("SELECT count(*) AS made FROM tickets_reservation WHERE lead_id IS NULL")
    sale.check()
    report.add(name, **{"a second": rate, "postgres us": spent["postgres"] / row["made"] * 1e6})
