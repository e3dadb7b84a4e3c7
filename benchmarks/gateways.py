"""Measure many payments at once: how many can wait for a slow gateway, and what this costs other payments.

The gateway is the sandbox, which takes a second for each call here; a card whose bank is slow takes eight more.
"""

import contextlib
import time
from collections.abc import Iterator

import psutil

from benchmarks import sale
from benchmarks.load import Load, request
from benchmarks.report import Goal, Report, Scale
from benchmarks.system import System
from overlord.kernel import db

CALL_SECONDS = 1
PRESSED, WITHIN = 500, 5.0  # payments, and the seconds within which their buyers press Pay
HANGING = 200  # payments with a slow card
GIVE_UP = 120.0  # seconds
CONNECTIONS = 16
RUSH, HUNG = f"{PRESSED} pressed within {WITHIN:.0f} s", f"one while {HANGING} hang"

_RESERVED = "SELECT id, buyer_id FROM tickets_reservation ORDER BY id"
_OPENED = "SELECT id, buyer_id FROM checkout_payment WHERE status = 'NOT_STARTED' ORDER BY id"
_IN_FLIGHT = "SELECT count(*) AS count FROM checkout_payment WHERE status IN ('PENDING', 'PROCESSING')"
_TOOK = """
SELECT extract(epoch FROM r.validated_at - r.paying_since) AS seconds
  FROM checkout_payment p JOIN tickets_reservation r ON r.id = p.reservation_id
 WHERE p.buyer_id = %s AND p.status = 'SUCCESS'
"""


def run(system: System, scale: Scale) -> Report:
    """Measure many payments at once."""
    sale.clear()
    sale.buyers_make(PRESSED)
    [ticket_type] = sale.event_make()
    system.env["SANDBOX_SECONDS"] = str(CALL_SECONDS)
    try:
        system.start_workers()
    finally:
        del system.env["SANDBOX_SECONDS"]
    report = Report("Payments")
    with contextlib.closing(Load(system.start_web("web"), CONNECTIONS)) as load:
        for _ in range(scale.rounds):
            _measure_rush(report, system, load, ticket_type)
            _measure_hanging(report, load, ticket_type)
    _conclude(report)
    return report


def _measure_rush(report: Report, system: System, load: Load, ticket_type: int) -> None:
    """Press Pay for 500 payments within five seconds, and wait for the last outcome."""
    _open(load, PRESSED, ticket_type)
    pressed = _press(load, db.rows(_OPENED), "a card", rate=PRESSED / WITHIN)
    worker = psutil.Process(system.children["payments"].pid)
    most_memory, in_flight = 0.0, PRESSED
    while in_flight:
        if time.monotonic() > pressed + GIVE_UP:
            raise sale.BrokenError(f"{in_flight} of {PRESSED} payments are in flight after {GIVE_UP:.0f} s.")
        most_memory = max(most_memory, worker.memory_full_info().pss)
        time.sleep(0.2)
        in_flight = db.rows(_IN_FLIGHT)[0]["count"]
    settled = time.monotonic() - pressed
    _check(PRESSED)
    report.add(
        RUSH,
        **{
            "settled after the last press s": settled,
            "the worker's memory MB": most_memory / 1e6,
        },
    )


def _measure_hanging(report: Report, load: Load, ticket_type: int) -> None:
    """Let 200 payments hang at their gateway, and press Pay for another one."""
    _open(load, HANGING + 1, ticket_type)
    *hanging, quick = db.rows(_OPENED)
    _press(load, hanging, "slow", rate=None)
    _press(load, [quick], "a card", rate=None)
    until = time.monotonic() + GIVE_UP
    while not (took := db.rows(_TOOK, [quick["buyer_id"]])) and time.monotonic() < until:
        time.sleep(0.02)
    still = db.rows(_IN_FLIGHT)[0]["count"]
    sale.settle(seconds=GIVE_UP)
    _check(HANGING + 1)
    report.add(HUNG, **{"pay to paid s": float(took[0]["seconds"]), "still hanging then": still})


def _open(load: Load, many: int, ticket_type: int) -> None:
    """Reserve for so many buyers, and open their payments."""
    sale.reset()
    load.run(_dealt(list(sale.claims(range(1, many + 1), [ticket_type]))), seconds=GIVE_UP)
    opening = [
        request(
            "POST",
            "/payment/payments/",
            token=sale.token(row["buyer_id"]),
            body=f'{{"reservation_id": {row["id"]}}}',
        )
        for row in db.rows(_RESERVED)
    ]
    load.run(_dealt(opening), seconds=GIVE_UP)
    if (opened := len(db.rows(_OPENED))) != many:
        raise sale.BrokenError(f"{opened} of {many} payments were opened.")


def _press(load: Load, payments: list[dict[str, int]], card: str, *, rate: float | None) -> float:
    """Press Pay for these payments; return when the last request was answered, by `time.monotonic()`."""
    presses = [
        request(
            "POST",
            f"/payment/payments/{payment['id']}/pay/",
            token=sale.token(payment["buyer_id"]),
            body=f'{{"token": "{card}"}}',
        )
        for payment in payments
    ]
    tally = load.run(_dealt(presses), seconds=GIVE_UP, rate=rate)
    if tally.statuses[202] != len(payments):
        raise sale.BrokenError(f"{len(payments)} were pressed, and the answers were {tally.statuses}.")
    return time.monotonic()


def _dealt(requests: list[bytes]) -> list[Iterator[bytes]]:
    """Let all connections take from the same requests, so that any free connection sends the next one."""
    shared = iter(requests)
    return [shared] * CONNECTIONS


def _check(paid: int) -> None:
    sale.check()
    books = sale.books()
    if set(books.values()) != {paid}:
        raise sale.BrokenError(f"{paid} were paid, but there are: {books}")


def _conclude(report: Report) -> None:
    report.goals += [
        Goal(
            name=f"{PRESSED} payments, {CALL_SECONDS} s a call: settled after the last press",
            measured=report.rounds(RUSH, "settled after the last press s"), most=20, unit="s",
        ),
        Goal(
            name="memory of the payments worker", measured=report.rounds(RUSH, "the worker's memory MB"),
            most=250, unit="MB",
        ),
        Goal(
            name=f"pay to paid while {HANGING} payments hang at the gateway",
            measured=report.rounds(HUNG, "pay to paid s"), most=5, aim=3, unit="s",
            bound=2 * CALL_SECONDS,
        ),
    ]  # fmt: skip
    report.notes.append(
        f"A payment asks its gateway twice, so that it takes {2 * CALL_SECONDS} s at least; a slow card 8 s more."
    )
