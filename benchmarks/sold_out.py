"""Measure claims of a sold-out ticket type: how quickly they are refused, what a refusal costs PostgreSQL, and how
soon a released ticket is reserved again."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from threading import Thread

from django.db import connection

from benchmarks import load, sale
from benchmarks.cpu import Meter
from benchmarks.load import Load
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.reserve import CONNECTIONS, KNOWN, add
from benchmarks.system import System
from overlord.kernel import db
from tickets import services
from tickets.models import Reservation

CROWD = 2_000
BETWEEN = 0.6  # seconds from one release to the next
KEY = "Idempotency-Key: {}"


@dataclass
class Stage:
    """The parts that the arms share: the connections, and ticket types with and without tickets left."""

    system: System
    report: Report
    crowd: Load
    plenty: list[int]
    empty: list[int]


def run(system: System, scale: Scale) -> Report:
    """Measure refusals."""
    sale.clear()
    sale.buyers_make(KNOWN)
    stage = Stage(
        system=system, report=Report("Sold out"), crowd=Load(system.start_web("web"), CONNECTIONS),
        plenty=sale.event_make(), empty=sale.event_make(capacity=0),
    )  # fmt: skip
    stage.crowd.run([sale.looks(buyers) for buyers in _shares(KNOWN)], seconds=600)
    turns = [_reserve, _refused, _refused_with_key]
    for nth in range(scale.rounds):
        for turn in turns if nth % 2 == 0 else reversed(turns):
            turn(stage, scale.seconds)
    _releases(stage, times=scale.pick(10, 30))
    stage.crowd.close()
    _set_goals(stage.report)
    return stage.report


def _shares(buyers: int) -> list[range]:
    return [range(1, buyers + 1)[nth::CONNECTIONS] for nth in range(CONNECTIONS)]


def _reserve(stage: Stage, seconds: float) -> None:
    sale.reset()
    meter = Meter(stage.system, {"web": ["web"], "postgres": ["postgres"]})
    tally = stage.crowd.run([sale.claims(buyers, stage.plenty) for buyers in _shares(KNOWN)], seconds=seconds)
    spent = meter.spent()
    sale.check(tally)
    add(stage.report, "reserved", tally, tally.statuses[201], spent)


def _refused(stage: Stage, seconds: float) -> None:
    _refuse(stage, "refused", seconds, lambda buyers: cycle(list(sale.claims(buyers, stage.empty))))


def _refused_with_key(stage: Stage, seconds: float) -> None:
    """Measure claims with an Idempotency-Key, which bypass the sold-out cache: PostgreSQL decides each time."""
    _refuse(stage, "refused by PostgreSQL", seconds, lambda buyers: _with_keys(buyers, stage.empty[0]))


def _with_keys(buyers: range, ticket_type: int) -> Iterator[bytes]:
    body = f'{{"ticket_type": {ticket_type}, "amount": 1}}'
    for nth, buyer in enumerate(cycle(buyers)):
        plain = load.request("POST", "/event/reservations/", token=sale.token(buyer), body=body)
        yield plain.replace(b"\r\n", f"\r\n{KEY.format(nth)}\r\n".encode(), 1)


def _refuse(stage: Stage, arm: str, seconds: float, requests: Callable[[range], Iterator[bytes]]) -> None:
    sale.reset()
    crowd = [requests(buyers) for buyers in _shares(CROWD)]
    wal, ids = _wal()
    meter = Meter(stage.system, {"web": ["web"], "postgres": ["postgres"]})
    tally = stage.crowd.run(crowd, seconds=seconds)
    spent = meter.spent()
    wal, ids = (after - before for after, before in zip(_wal(), (wal, ids), strict=True))
    sale.check(tally)
    refused = tally.statuses[409]
    if set(tally.statuses) != {409}:
        raise sale.BrokenError(f"Not all claims were refused: {dict(tally.statuses)}")
    add(stage.report, arm, tally, refused, spent)
    stage.report.add(arm, **{"WAL bytes each": wal / refused, "transaction ids": ids})


def _wal() -> tuple[int, int]:
    """Return the bytes of WAL written so far and the number of transactions that had an id."""
    [row] = db.rows(
        "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS ids"
    )
    return int(row["wal"]), int(row["ids"])


def _releases(stage: Stage, *, times: int) -> None:
    """Release the only ticket many times while all buyers claim it."""
    sale.reset()
    [ticket_type] = sale.event_make(capacity=1)
    released: list[float] = []
    releaser = Thread(target=_release, args=(ticket_type, times, released))
    crowd = [cycle(list(sale.claims(buyers, [ticket_type]))) for buyers in _shares(CROWD)]
    releaser.start()
    taken: list[float] = []
    while releaser.is_alive():
        taken += stage.crowd.run(crowd, seconds=BETWEEN).created
    taken += stage.crowd.run(crowd, seconds=2 * BETWEEN).created
    sale.check()
    waits = list(_waits(released, taken))
    if len(waits) < times:
        raise sale.BrokenError(
            f"The ticket was released {times} times and reserved again {len(waits)} times."
        )
    for share in (50, 99):
        stage.report.add("a ticket is released", **{f"p{share} ms": percentile(waits, share / 100) * 1000})


def _release(ticket_type: int, times: int, released: list[float]) -> None:
    for _ in range(times):
        time.sleep(BETWEEN)
        held = Reservation.objects.get(ticket_type_id=ticket_type, state="held")
        services.reservation_release(buyer_id=held.buyer_id, reservation_id=held.pk)
        released.append(time.perf_counter())
    connection.close()


def _waits(released: list[float], taken: list[float]) -> Iterator[float]:
    """Yield the seconds from each release to the answer that granted the ticket again."""
    for at in released:
        # The ticket may be granted before the release is timed.
        later = sorted(then for then in taken if then > at - BETWEEN / 2)
        yield from (max(0.0, first - at) for first in islice(later, 1))


def _set_goals(report: Report) -> None:
    rate = "a second"
    cpu = [column for column in report.arms["reserved"] if column.endswith(" us")]
    bound = sum(report.median("reserved", c) for c in cpu) / sum(report.median("refused", c) for c in cpu)
    report.goals += [
        Goal(
            name="refusals: times the rate of reservations", measured=report.ratios("refused", "reserved", rate),
            least=1.5, aim=3, bound=bound,
        ),
        Goal(
            name="WAL for a refusal", measured=report.rounds("refused by PostgreSQL", "WAL bytes each"),
            most=1, aim=0, unit="bytes",
        ),
        Goal(
            name="transaction ids for all refusals of a round",
            measured=report.rounds("refused by PostgreSQL", "transaction ids"), most=0,
        ),
        Goal(
            name="a released ticket is reserved, p99", measured=report.rounds("a ticket is released", "p99 ms"),
            most=300, unit="ms",
        ),
    ]  # fmt: skip
