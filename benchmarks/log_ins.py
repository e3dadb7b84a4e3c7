"""Measure log-ins over HTTP beside hashing alone, and how fast tickets are reserved during a rush of log-ins."""

import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

from argon2 import PasswordHasher

from benchmarks import load, sale
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.accounts.hashers import Argon2idHasher

CONNECTIONS = 16
WAITING = 96  # connections of a rush: more than may wait at the front server
KNOWN = 2_000
PASSWORD = "correct horse battery"  # noqa: S105
TIMES = 10  # the rush offers ten times the log-ins that hashing alone could serve


def run(system: System, scale: Scale) -> Report:
    """Measure log-ins."""
    sale.clear()
    sale.buyers_make(KNOWN, password=PASSWORD)
    types = sale.event_make(types=16)
    port = system.start_shop()
    crowd = Load(port, CONNECTIONS)
    crowd.run([sale.looks(range(1, KNOWN + 1)[nth::CONNECTIONS]) for nth in range(CONNECTIONS)], seconds=60)
    report = Report("Log-ins")
    for _ in range(scale.rounds):
        report.add("the hash alone, on all cores", **{"a second": _hashes(scale.seconds)})
        tally = crowd.run([_log_ins() for _ in range(CONNECTIONS)], seconds=scale.seconds)
        _add(report, "log-ins", tally, 200)
        _reserve(report, "reserve", crowd, types, scale.seconds)
        with _rush(port, rate=TIMES * report.median("the hash alone, on all cores", "a second")):
            _reserve(report, "reserve, in a rush of log-ins", crowd, types, scale.seconds)
    crowd.close()
    _set_goals(report)
    return report


def _hashes(seconds: float) -> float:
    """Return how many passwords are checked a second, in as many threads as there are cores."""
    chosen = Argon2idHasher
    hasher = PasswordHasher(chosen.time_cost, chosen.memory_cost, chosen.parallelism)
    hashed, counts, until = hasher.hash(PASSWORD), [], time.perf_counter() + seconds

    def check() -> None:
        count = 0
        while time.perf_counter() < until:
            hasher.verify(hashed, PASSWORD)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=check) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def _log_ins() -> Iterator[bytes]:
    for buyer in cycle(range(1, KNOWN + 1)):
        body = f'{{"username": "bench-{buyer}", "password": "{PASSWORD}"}}'
        yield load.request("POST", "/api-auth/login/", body=body)


@contextmanager
def _rush(port: int, *, rate: float) -> Iterator[None]:
    """Send `rate` log-ins a second from a separate process."""
    rush = multiprocessing.get_context("fork").Process(target=_offer, args=(port, rate), daemon=True)
    rush.start()
    time.sleep(3)  # by then its connections fill the queue at the front server
    try:
        yield
    finally:
        rush.terminate()
        rush.join()


def _offer(port: int, rate: float) -> None:
    Load(port, WAITING).run([_log_ins() for _ in range(WAITING)], seconds=3600, rate=rate)


def _reserve(report: Report, arm: str, crowd: Load, types: list[int], seconds: float) -> None:
    sale.reset()
    claims = [sale.claims(range(1, KNOWN + 1)[nth::CONNECTIONS], types) for nth in range(CONNECTIONS)]
    tally = crowd.run(claims, seconds=seconds)
    sale.check(tally)
    _add(report, arm, tally, 201)


def _add(report: Report, arm: str, tally: Tally, status: int) -> None:
    if not tally.statuses[status]:
        raise sale.BrokenError(f"{arm} did nothing: {dict(tally.statuses)}")
    latency = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
    report.add(arm, **{"a second": tally.rate(status), **latency})


def _set_goals(report: Report) -> None:
    hashes, quiet, rush = "the hash alone, on all cores", "reserve", "reserve, in a rush of log-ins"
    rate = "a second"
    report.goals += [
        Goal(
            name="log-ins: share of the rate of hashing alone",
            measured=report.ratios("log-ins", hashes, rate),
            least=0.5,
        ),
        Goal(
            name="reserve in a rush: share of the quiet rate",
            measured=report.ratios(rush, quiet, rate),
            least=0.8,
        ),
        Goal(
            name="reserve in a rush: p99, times the quiet p99",
            measured=report.ratios(rush, quiet, "p99 ms"),
            most=2,
        ),
    ]
    offered = TIMES * statistics.median(report.rounds(hashes, rate))
    report.notes.append(f"In the rush {offered:,.0f} log-ins a second are offered.")
