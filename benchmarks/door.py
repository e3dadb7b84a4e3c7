"""Measure scans at the door over HTTP, by themselves and beside a sale."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import timedelta
from itertools import chain, islice
from typing import Self
from uuid import uuid4

from django.contrib.auth.models import Permission as Permissions
from django.utils import timezone

from benchmarks import load, sale
from benchmarks.cpu import Meter
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.accounts.models import User
from overlord.kernel import db
from tickets import operations
from tickets import services as tickets
from tickets.admission import selectors, services
from tickets.models import Reservation, TicketType

RATE = 100  # scans a second
SALE_RATE = 200  # reservations a second that are requested meanwhile
# Half a sale asks for this share of the reservations a second that the same round made without scans.
SHARE = 0.5
LEAD = 1.0  # seconds for which buyers ask before the first scan, and half as long after the last
CONNECTIONS = 16
STEWARD = 1  # the id of the user who scans
BUYERS = 8_000  # so many that each holds only a few tickets
ORDERS, SEATS = 50, 400  # 20,000 tickets
SALE, QUIET = "a sale alone", "scans"
FIXED, HALF, RUSH = (
    f"scans beside {SALE_RATE} reservations a second",
    "scans beside half a sale",
    "scans beside a rush",
)
# Tickets that do not have exactly the admissions that their state says.
_WRONG = """
SELECT count(*) AS wrong
  FROM admission_ticket t
 WHERE (t.state = 'admitted')::int <> (
           SELECT count(*) FROM admission_scan s
            WHERE s.ticket_id = t.id AND s.result = 'admitted' AND s.undone_at IS NULL)
"""


def run(system: System, scale: Scale) -> Report:
    """Measure scans."""
    sale.clear()
    sale.buyers_make(BUYERS)
    _steward_permit()
    codes = _codes_make()
    port, on_sale = system.start_shop(), sale.event_make(types=16)
    report = Report("Scans at the door")
    gates = Gates(system, report, port, codes)
    with Buyers(port, on_sale) as buyers:
        buyers.begin(seconds=2).result()
        for _ in range(scale.rounds):
            alone = buyers.begin(seconds=scale.seconds).result()
            report.add(SALE, **_of_sale(alone))
            gates.measure(QUIET, seconds=scale.seconds)
            for arm, rate in ((FIXED, SALE_RATE), (HALF, SHARE * alone.rate(201)), (RUSH, None)):
                asked = buyers.begin(seconds=LEAD * 1.5 + scale.seconds, rate=rate)
                time.sleep(LEAD)
                gates.measure(arm, seconds=scale.seconds)
                report.add(arm, **_of_sale(asked.result()))
    gates.close()
    sale.check()
    report.goals = [
        Goal(name=f"{arm}: p99", measured=report.rounds(arm, "p99 ms"), most=150, unit="ms")
        for arm in (QUIET, FIXED, HALF)
    ]
    report.notes.append(f"{RATE} scans a second are offered, of {len(codes):,} tickets.")
    report.notes.append(
        f"Half a sale: {SHARE} times the rate of the sale alone is offered, that of the same round. A rush: as many"
        f" reservations as {CONNECTIONS} connections get."
    )
    report.notes.append(
        f"The gates' process has the niceness {_niceness(system, 'door')}, the sale's {_niceness(system, 'web')}."
    )
    return report


def _niceness(system: System, name: str) -> int:
    return os.getpriority(os.PRIO_PROCESS, system.children[name].pid)


class Gates:
    """The gates and their scans."""

    def __init__(self, system: System, report: Report, port: int, codes: Sequence[str]) -> None:
        self._system, self._report = system, report
        self._load, self._scans = Load(port, CONNECTIONS), _scans(codes)
        self._scan(seconds=2)  # afterwards each process has its keys and its connections

    def close(self) -> None:
        self._load.close()

    def measure(self, arm: str, *, seconds: float) -> None:
        """Add a round of scans, and check that each ticket has the admissions that its state says."""
        before = _count_scans()
        meter = Meter(self._system, {"door": ["door"]})
        tally = self._scan(seconds=seconds)
        spent = meter.spent()["door"]
        [books] = db.rows(_WRONG)
        if tally.statuses.keys() != {200} or books["wrong"] or _count_scans() - before != tally.statuses[200]:
            raise sale.BrokenError(f"{arm}: {dict(tally.statuses)}, {books['wrong']} tickets are wrong.")
        latency = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
        cpu = {"door us": spent / tally.statuses[200] * 1e6}
        self._report.add(arm, **{"scans a second": tally.rate(200), **latency, **cpu})

    def _scan(self, *, seconds: float) -> Tally:
        return self._load.run([self._scans] * CONNECTIONS, seconds=seconds, rate=RATE)


class Buyers:
    """Buyers. A separate process sends their requests.

    That process has its own session, as each program of `bin/up` has. Linux divides the CPU among sessions, so the
    buyers take no CPU that this process needs to send scans and to read their answers.
    """

    def __init__(self, port: int, types: list[int]) -> None:
        self._port, self._types = port, types
        self._asked = 0

    def __enter__(self) -> Self:
        fork = multiprocessing.get_context("fork")
        self._process = ProcessPoolExecutor(max_workers=1, mp_context=fork, initializer=os.setsid)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def begin(self, *, seconds: float, rate: float | None = None) -> "Asked":
        """Begin to request reservations for so many seconds; without a `rate`, as fast as the connections can."""
        asked = self._process.submit(_reserve, self._port, self._types, self._asked, seconds, rate)
        return Asked(asked, self._count)

    def _count(self, tally: Tally) -> None:
        self._asked += tally.statuses.total()


class Asked:
    """Requests of buyers that another process is sending.

    The thread that waits for the result counts them. A callback of the future could run too late, after the next
    requests have begun.
    """

    def __init__(self, tally: Future[Tally], count: Callable[[Tally], None]) -> None:
        self._tally, self._count = tally, count

    def result(self) -> Tally:
        """Wait for the answers and count them. Call it once."""
        tally = self._tally.result()
        self._count(tally)
        return tally


def _reserve(port: int, types: list[int], asked: int, seconds: float, rate: float | None) -> Tally:
    """Request reservations, and skip the first `asked`, which were requested before.

    None is requested twice: a buyer reserves each type once, one type after the other.
    """
    turns = (sale.claims(range(1, BUYERS + 1), types[nth:] + types[:nth]) for nth in range(len(types)))
    claims = islice(chain.from_iterable(turns), asked, None)
    crowd = Load(port, CONNECTIONS)
    try:
        return crowd.run([claims] * CONNECTIONS, seconds=seconds, rate=rate)
    finally:
        crowd.close()


def _of_sale(asked: Tally) -> dict[str, float]:
    if asked.statuses.keys() != {201}:
        raise sale.BrokenError(f"The sale: {dict(asked.statuses)}")
    return {
        "reserved a second": asked.rate(201),
        "reserve p99 ms": percentile(asked.latencies, 0.99) * 1000,
    }


def _count_scans() -> int:
    return int(db.rows("SELECT count(*) AS count FROM admission_scan")[0]["count"])


def _scans(codes: Sequence[str]) -> Iterator[bytes]:
    """Yield a scan of each ticket, then of each ticket again, and so on without end."""
    while True:
        for nth, code in enumerate(codes):
            body = json.dumps({"scan_id": str(uuid4()), "code": code, "gate": f"Gate {nth % 4}"})
            yield load.request("POST", "/door/scans/", token=sale.token(STEWARD), body=body)


def _steward_permit() -> None:
    steward = User.objects.get(pk=STEWARD)
    steward.user_permissions.add(Permissions.objects.get(codename="use_door"))
    User.objects.filter(pk=STEWARD).update(is_staff=True)


def _codes_make() -> list[str]:
    """Make an event whose tickets are paid for; return their codes."""
    [made] = sale.event_make()
    TicketType.objects.filter(pk=made).update(max_per_user=SEATS)
    now = timezone.now()
    for buyer in range(2, 2 + ORDERS):
        claimed = tickets.reservation_create(
            buyer_id=buyer, ticket_type=made, quantity=SEATS, key=None, hold=timedelta(minutes=15), now=now
        )
        with db.transaction():
            order, at = operations.order_lock(order_id=claimed.reservation["id"])
            paying = operations.order_begin_paying(order=order, now=at)
            operations.order_validate(reservations=paying, now=at)
    ids = list(Reservation.objects.filter(ticket_type_id=made).values_list("pk", flat=True))
    rows = selectors.tickets_of(reservation_ids=ids)
    return [each["code"] for each in services.tickets_coded(rows, now=now)]
