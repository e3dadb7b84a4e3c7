"""The figures of /metrics, in the text format of Prometheus.

Each request reads them from PostgreSQL, with a few queries, and from Redis. So every web process gives the same
figures, except for the two that are about the process itself. No counter falls, even when a process restarts: the
counters are columns of the inventories, and an event whose tickets were ever reserved cannot be deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import RedisError

from overlord.kernel import database_check, money, queue_health
from overlord.kernel.postgresql.standby import standby
from stats import monitor, selectors, system
from tickets.line import selectors as lines
from tickets.line.models import Line

COUNTERS = {
    "reservations": "Reservations made.",
    "reserved_tickets": "Tickets in the reservations made.",
    "reservations_paid": "Reservations that were paid for.",
    "reservations_expired": "Reservations that expired.",
    "payments_failed": "Payments that failed.",
}
GAUGES = {
    "oversold_types": "Ticket types with more tickets held and sold than there are. Must be 0.",
    "paying": "Reservations whose payment is in progress.",
    "in_doubt": "Reservations whose payment has been in progress for more than ten seconds.",
    "holds_due": "Holds that have expired and are not released yet.",
    "hold_late_seconds": "How long ago the oldest of these expired, in seconds.",
    "payment_late_seconds": "For how long the payment that waits longest has been due for a worker, in seconds.",
    "connections": "Connections to the database.",
    "database_bytes": "The size of the database, in bytes.",
    "standbys": "Servers that follow PostgreSQL, as far as the role may see.",
}
LINES = {
    "entered": "Numbers that a line has given.",
    "served": "The last place of a line whose turn has come.",
    "per_minute": "Places that a line serves in a minute; 0 while not known.",
}


def text(*, now: datetime) -> bytes:
    """Return all figures in the text format of Prometheus, version 0.0.4; raise DatabaseError."""
    registry = CollectorRegistry()
    registry.register(_Figures(now))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of PostgreSQL, then those of Redis, then those of this process."""
        yield from _of_database(selectors.sale_figures(now=self._now))
        yield from _of_doors(monitor.doors_open(now=self._now))
        yield from _of_lines(lines.lines_at_work(now=self._now))
        yield from _of_redis()
        yield from _of_process()

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering reads nothing."""
        return []


def _of_database(row: Mapping[str, Any]) -> Iterator[Metric]:
    for name, meaning in COUNTERS.items():
        yield CounterMetricFamily(f"overlord_{name}", meaning, value=float(row[name]))
    for name, meaning in GAUGES.items():
        yield GaugeMetricFamily(f"overlord_{name}", meaning, value=float(row[name]))
    tickets = {state: row[state] for state in ("available", "held", "sold")}
    yield _by_label("tickets", "Tickets by state.", "state", tickets)
    revenue = {
        currency: float(money.to_text(int(minor), currency))
        for currency, minor in row["revenue_minor"].items()
    }
    yield _by_label("revenue", "Money taken, less refunds, by currency.", "currency", revenue)
    yield _by_label("incidents", "Open incidents by cause.", "cause", row["incidents"])


def _of_doors(doors: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """Yield the figures of the doors that are open. Admissions are a gauge, because an admission may be undone."""
    admitted = GaugeMetricFamily("overlord_admitted", "Tickets that were admitted.", labels=["event", "gate"])
    expected = GaugeMetricFamily(
        "overlord_door_tickets", "Tickets that open a door, admitted or not.", labels=["event"]
    )
    conflicts = GaugeMetricFamily(
        "overlord_door_conflicts",
        "Scans that let a holder in without a network and that the server would have refused.",
        labels=["event"],
    )
    for door in doors:
        for gate in door["gates"]:
            admitted.add_metric([str(door["id"]), gate["gate"]], float(gate["admitted"]))
        expected.add_metric([str(door["id"])], float(door["tickets"]))
        conflicts.add_metric([str(door["id"])], float(door["conflicts"]))
    yield from (admitted, expected, conflicts)


def _of_lines(at_work: Sequence[Line]) -> Iterator[Metric]:
    """Yield the progress of the lines with people to draw or to serve."""
    for name, meaning in LINES.items():
        family = GaugeMetricFamily(f"overlord_line_{name}", meaning, labels=["event"])
        for line in at_work:
            family.add_metric([str(line.pk)], float(getattr(line, name)))
        yield family


def _of_redis() -> Iterator[Metric]:
    state = system.state()
    try:
        waits = queue_health.waits()
    except RedisError:
        waits = {}
    yield GaugeMetricFamily(
        "overlord_redis_up", "Whether Redis answers and takes writes.", value=float(state["redis"])
    )
    if state["viewers"] is not None:
        yield GaugeMetricFamily("overlord_sockets", "Open WebSockets.", value=float(state["viewers"]))
    yield _by_label("queue_messages", "Messages that wait for a worker, by queue.", "queue", state["queued"])
    known = {str(queue): seconds for queue, seconds in waits.items() if seconds is not None}
    yield _by_label("queue_wait_seconds", "How long messages wait, in seconds, by queue.", "queue", known)


def _of_process() -> Iterator[Metric]:
    """Yield the figures that only this web process knows: about its own sessions and commits."""
    yield GaugeMetricFamily(
        "overlord_database_setup_faults",
        "How much is wrong with PostgreSQL for a web process (database_setup). Must be 0.",
        value=float(len(database_check.found())),
    )
    yield GaugeMetricFamily(
        "overlord_standby_away",
        "Whether commits of a web process do not reach their standby.",
        value=float(standby.is_away),
    )


def _by_label(name: str, meaning: str, label: str, values: Mapping[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"overlord_{name}", meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], float(value))
    return family
