"""Measure scans at the door over HTTP, by themselves and beside a sale."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

from django.contrib.auth.models import Permission as Permissions
from django.utils import timezone

from benchmarks import load, sale
from benchmarks.load import Load
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.accounts.models import User
from overlord.kernel import db
from tickets import operations
from tickets import services as tickets
from tickets.admission import selectors, services
from tickets.models import Reservation, TicketType

RATE = 100  # scans a second
SALE_RATE = 200  # reservations a second that are asked for meanwhile
CONNECTIONS = 16
STEWARD = 1
BUYERS = 2_000
ORDERS, SEATS = 50, 400  # 20,000 tickets
QUIET, BESIDE = "scans", "scans beside a sale"
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
    on_sale = sale.event_make(types=16)
    port = system.start_shop()
    gates = Load(port, CONNECTIONS)
    scans = iter(_scans(codes))
    gates.run(
        [scans] * CONNECTIONS, seconds=2, rate=RATE
    )  # each process has its keys and its connections then
    report = Report("Scans at the door")
    for _ in range(scale.rounds):
        _measure(report, QUIET, gates, scans, seconds=scale.seconds)
        with _sale(port, on_sale):
            _measure(report, BESIDE, gates, scans, seconds=scale.seconds)
    gates.close()
    sale.check()
    report.goals = [
        Goal(name=f"{arm}: p99", measured=report.rounds(arm, "p99 ms"), most=150, unit="ms")
        for arm in (QUIET, BESIDE)
    ]
    report.notes.append(f"{RATE} scans a second are offered, of {len(codes):,} tickets.")
    report.notes.append(f"The sale is {SALE_RATE} reservations a second.")
    return report


def _measure(report: Report, arm: str, gates: Load, scans: Iterator[bytes], *, seconds: float) -> None:
    before = _count_scans()
    tally = gates.run([scans] * CONNECTIONS, seconds=seconds, rate=RATE)
    [books] = db.rows(_WRONG)
    if tally.statuses.keys() != {200} or books["wrong"] or _count_scans() - before != tally.statuses[200]:
        raise sale.BrokenError(f"{arm}: {dict(tally.statuses)}, {books['wrong']} tickets are wrong.")
    latency = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
    report.add(arm, **{"a second": tally.rate(200), **latency})


def _count_scans() -> int:
    return int(db.rows("SELECT count(*) AS count FROM admission_scan")[0]["count"])


def _scans(codes: Sequence[str]) -> Iterator[bytes]:
    """Yield a scan of each ticket, and then of each again."""
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
            order = operations.order_lock(order_id=claimed.reservation["id"])
            paying = operations.order_begin_paying(order=order, now=db.now())
            operations.order_validate(reservations=paying, now=db.now())
    ids = list(Reservation.objects.filter(ticket_type_id=made).values_list("pk", flat=True))
    rows = selectors.tickets_of(reservation_ids=ids)
    return [each["code"] for each in services.tickets_coded(rows, now=now)]


@contextmanager
def _sale(port: int, types: list[int]) -> Iterator[None]:
    """Ask for reservations from a separate process."""
    rush = multiprocessing.get_context("fork").Process(target=_reserve, args=(port, types), daemon=True)
    rush.start()
    time.sleep(1)
    try:
        yield
    finally:
        rush.terminate()
        rush.join()


def _reserve(port: int, types: list[int]) -> None:
    buyers = range(1000, BUYERS + 1)
    crowd = [sale.claims(buyers[nth::CONNECTIONS], types) for nth in range(CONNECTIONS)]
    Load(port, CONNECTIONS).run(crowd, seconds=3600, rate=SALE_RATE)
