"""Measure the cost of standbys: the rate of reservations with all servers, and with the primary alone.

All servers share the cores of this machine, so the standbys take CPU from the primary and from our processes. On
machines of their own they would not: the share is a lower bound.
"""

import contextlib
from collections.abc import Callable, Iterator

from benchmarks import load, sale
from benchmarks.load import Load
from benchmarks.report import Goal, Report, percentile
from tests.cluster.network import address
from tests.cluster.stage import SHOP_PORT, Stage

ROUNDS = 5
SECONDS = 6.0
CONNECTIONS = 16
BUYERS = 16_000  # no arm serves as many in a round
TOGETHER, ALONE = "three servers", "the primary alone"


def measure(stage: Stage, say: Callable[[str], None]) -> Report:
    """Measure both in turn."""
    report = Report("Reservations with and without standbys")
    sale.buyers_make(BUYERS)
    [ticket_type] = sale.event_make()
    _claim(ticket_type)  # a round that does not count: it fills the processes' caches of tokens
    for nth in range(ROUNDS):
        for arm in (TOGETHER, ALONE) if nth % 2 == 0 else (ALONE, TOGETHER):
            if stage.synchronous is not (arm == TOGETHER):
                stage.stand_together() if arm == TOGETHER else stage.stand_alone()
            tally = _claim(ticket_type)
            report.add(arm, **_columns(tally))
            say(f"{arm}: {tally.rate(201):.0f} reservations a second")
    report.goals.append(
        Goal(name="share of the rate of the primary alone",
             measured=report.ratios(TOGETHER, ALONE, "a second"), least=0.6)
    )  # fmt: skip
    return report


def _claim(ticket_type: int) -> load.Tally:
    """Reserve on all connections for some seconds. Raises BrokenError when an invariant does not hold."""
    sale.reset()
    with contextlib.closing(Load(SHOP_PORT, CONNECTIONS, host=address("front"))) as crowd:
        tally = crowd.run(_claims(ticket_type), seconds=SECONDS)
    sale.check(tally)
    return tally


def _claims(ticket_type: int) -> list[Iterator[bytes]]:
    buyers = range(1, BUYERS + 1)
    return [sale.claims(buyers[nth::CONNECTIONS], [ticket_type]) for nth in range(CONNECTIONS)]


def _columns(tally: load.Tally) -> dict[str, float]:
    latency = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
    return {"a second": tally.rate(201), **latency}
