"""Measure how holds expire: all at once, spread over a minute beside reservations, and none at all.

Three measurements, each on the database of the run:
- Release: `tickets.services.due_holds_sweep` ends ten thousand holds in this process, beside one bare UPDATE of
  the same rows. It is timed from the call to its return, when all are released, committed and their streams
  marked. The flushes that follow are waited for but not counted.
- Spread: the upkeep worker and beat sweep as they do for `bin/up`. How late a hold ends is counted to the commit of
  its release, which is later than its `ended_at`.
- Idle: a sweep in this process while nothing expires: the CPU of its thread and of its PostgreSQL backend.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from benchmarks import sale
from benchmarks.cpu import Meter
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.kernel import clock, db, redis_client
from realtime import store
from tickets import services, tasks

CONNECTIONS = 16
GROUPS = {
    "web": ["web"],
    "PostgreSQL": ["postgres"],
    "upkeep": ["upkeep"],
    "broadcasts": ["broadcasts"],
    "valkey": ["valkey"],
}
HOLDERS = 20_000
KNOWN = 4_096  # buyers who reserve meanwhile, each one ticket of every type
TYPES = 4
SPREAD_SECONDS = 60
ADVISED = (30, 60, 120, 300)  # seconds before the end at which a buyer gets advice
SOON = 3.0  # seconds from seeding until the first hold is due
GIVE_UP = 30.0

_HOLDS = """
INSERT INTO tickets_reservation (buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created,
                                 expires_at,
                                 version)
SELECT n, %(first)s + n %% %(types)s, 1, 1500, 'EUR', 'held', due - interval '900 s', due, 1
  FROM generate_series(%(from)s, %(to)s) n,
       LATERAL (
           SELECT %(due)s::timestamptz + make_interval(secs => %(spread)s::float * (n - %(from)s) / %(count)s)
       ) d (due)
"""
_COUNT_HELD = """
UPDATE tickets_inventory i
   SET held = r.held, reservations = r.held, reserved_tickets = r.held, version = i.version + 1
  FROM (SELECT ticket_type_id, count(*) AS held FROM tickets_reservation GROUP BY 1) r
 WHERE r.ticket_type_id = i.ticket_type_id
"""
# The least that a release has to change. Its time is what PostgreSQL needs without our code.
_BARE = """
WITH ended AS (
    UPDATE tickets_reservation SET state = 'expired', ended_at = clock_timestamp(), version = version + 1
     WHERE state = 'held' AND expires_at <= clock_timestamp()
    RETURNING ticket_type_id, quantity
)
UPDATE tickets_inventory i
   SET held = i.held - e.tickets, reservations_expired = i.reservations_expired + e.reservations,
       version = i.version + 1
  FROM (SELECT ticket_type_id, sum(quantity) AS tickets, count(*) AS reservations FROM ended GROUP BY 1) e
 WHERE i.ticket_type_id = e.ticket_type_id
"""
_OUTCOME = """
SELECT count(*) FILTER (WHERE state = 'expired') AS ended,
       count(*) FILTER (WHERE ended_at < expires_at) AS early,
       count(*) FILTER (WHERE state = 'expired' AND version <> 2) AS again,
       (SELECT sum(reservations_expired) FROM tickets_inventory) AS counted
  FROM tickets_reservation
"""
_LATE = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - expires_at)::float AS late
  FROM tickets_reservation WHERE state = 'expired'
"""
_DUE = (
    "SELECT count(*) AS due FROM tickets_reservation WHERE state = 'held' AND expires_at <= clock_timestamp()"
)


def run(system: System, scale: Scale) -> Report:
    """Measure how holds expire."""
    sale.clear()
    sale.buyers_make(HOLDERS + KNOWN)
    types = sale.event_make(types=TYPES)
    system.start_workers()
    report = Report("Expiry")
    _spread(system, scale, report, types)
    system.stop("upkeep")  # from here on only this process sweeps
    for nth in range(scale.rounds):
        arms = [(due, way) for due in (types[:1], types) for way in (_sweep, _bare)]
        for due, way in arms if nth % 2 == 0 else reversed(arms):
            _release(report, scale, due, way)
    _idle(report, scale, types)
    _set_goals(report)
    return report


# At once -------------------------------------------------------------------------------------------------
def _release(report: Report, scale: Scale, types: list[int], way: Callable[[], None]) -> None:
    count = scale.pick(2_000, 10_000)
    sale.reset()
    _hold(types, first=1, count=count, due=db.now())
    _hold(types, first=count + 1, count=count // 10, due=db.now() + timedelta(hours=1))
    _settle()
    started = time.perf_counter()
    way()
    seconds = time.perf_counter() - started
    _check(ended=count)
    _wait_for_flushes()
    report.add(_release_arm(way, types), **{"release ms": seconds * 1000, "a second": count / seconds})


def _sweep() -> None:
    services.due_holds_sweep()


def _bare() -> None:
    with db.transaction():
        db.rows(_BARE)


def _release_arm(way: Callable[[], None], types: list[int]) -> str:
    name = "sweeper" if way is _sweep else "one bare UPDATE"
    return f"{name}, {len(types)} type{'s' if len(types) > 1 else ''}"


def _wait_for_flushes() -> None:
    """Wait until every marked stream is flushed, so that the next arm has the machine to itself."""
    until = time.monotonic() + GIVE_UP
    while redis_client.connection().exists(store.MARKED):
        if time.monotonic() > until:
            raise sale.BrokenError("Streams stay marked: nothing flushes them.")
        time.sleep(0.1)


# Spread --------------------------------------------------------------------------------------------------
def _spread(system: System, scale: Scale, report: Report, types: list[int]) -> None:
    """Measure ten thousand holds a minute that expire beside reservations.

    Windows in which holds expire take turns with windows of the same load in which no hold expires. Windows of the
    second sort are half as long.
    """
    seconds = scale.pick(4, 10)
    port = system.start_web("web")
    load = Load(port, CONNECTIONS)
    load.run([sale.looks(buyers) for buyers in _shares()], seconds=600)
    sale.reset()
    most = load.run(_claims(types), seconds=scale.seconds)
    rate = most.rate(201) / 2
    for nth in range(scale.rounds):
        for due in (False, True) if nth % 2 == 0 else (True, False):
            _window(system, report, load, types, seconds=seconds if due else seconds // 2, rate=rate, due=due)
    load.close()
    system.stop("web")
    report.notes.append(
        f"Spread: {rate:,.0f} reservations a second, half of the {most.rate(201):,.0f} that are possible."
    )


def _window(
    system: System, report: Report, load: Load, types: list[int], *, seconds: int, rate: float, due: bool
) -> None:
    count = 10_000 * seconds // SPREAD_SECONDS if due else 0
    _wait_for_flushes()
    sale.reset()
    start = db.now() + timedelta(seconds=SOON if due else 1)
    waves = (0, *ADVISED) if due else ()
    for nth, later in enumerate(waves):
        begin = start + timedelta(seconds=later)
        _hold(types, first=1 + nth * count, count=count, due=begin, spread=seconds)
    _settle()
    if (wait := (start - db.now()).total_seconds()) < 0:
        raise sale.BrokenError("Seeding took too long: holds were due before the measurement began.")
    time.sleep(wait)
    meter = Meter(system, GROUPS)
    tally = load.run(_claims(types), seconds=seconds, rate=rate)
    spent = meter.spent()
    if set(tally.statuses) != {201}:
        raise sale.BrokenError(f"A reservation was refused: {dict(tally.statuses)}")
    _wait_for_none_due()
    _check(ended=count, held=count * max(0, len(waves) - 1), tally=tally)
    columns = {f"p{p} ms": percentile(tally.latencies, p / 100) * 1000 for p in (50, 99)}
    columns |= {f"{group} % of a core": used / tally.seconds * 100 for group, used in spent.items()}
    if due:
        late = [row["late"] for row in db.rows(_LATE)]
        columns |= {"late p50 ms": percentile(late, 0.5) * 1000, "late p99 ms": percentile(late, 0.99) * 1000}
        columns["late max ms"] = max(late) * 1000
    arm = "reserving, holds end" if due else "reserving, nothing ends"
    report.add(arm, **{"a second": tally.rate(201), **columns})


def _claims(types: list[int]) -> list[Iterator[bytes]]:
    """Return the claims of each connection: each of its buyers reserves once of every type."""
    turned = [types[nth:] + types[:nth] for nth in range(len(types))]
    return [chain(*(sale.claims(buyers, each) for each in turned)) for buyers in _shares()]


def _shares() -> list[range]:
    """Return the buyers of each connection: a multiple of TYPES, so that each buyer reserves every type once."""
    each = KNOWN // CONNECTIONS // TYPES * TYPES
    return [range(first, first + each) for first in range(HOLDERS + 1, HOLDERS + KNOWN + 1, each)]


def _wait_for_none_due() -> None:
    until = time.monotonic() + GIVE_UP
    while db.rows(_DUE)[0]["due"]:
        if time.monotonic() > until:
            raise sale.BrokenError("Holds that are due are not released.")
        time.sleep(0.1)


# Nothing due ---------------------------------------------------------------------------------------------
def _idle(report: Report, scale: Scale, types: list[int]) -> None:
    """Measure a sweep that looks as often as the worker's, while all holds end in an hour."""
    sale.reset()
    _hold(types, first=1, count=HOLDERS // 2, due=db.now() + timedelta(hours=1))
    _settle()
    services.sweep(instants=_ticks(1))
    for _ in range(scale.rounds):
        seconds = scale.pick(2, 3)
        sweeper, backend = time.thread_time(), _backend_seconds()
        services.sweep(instants=_ticks(seconds))
        sweeper, backend = time.thread_time() - sweeper, _backend_seconds() - backend
        shares = {
            "sweeper % of a core": sweeper / seconds * 100,
            "PostgreSQL % of a core": backend / seconds * 100,
        }
        report.add("nothing due", **shares)


def _ticks(seconds: float) -> Iterator[datetime]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield clock.now()
        time.sleep(tasks.TICK_SECONDS)


def _backend_seconds() -> float:
    """Return the CPU seconds of the backend of this thread's connection; the kernel counts them in nanoseconds."""
    [row] = db.rows("SELECT pg_backend_pid() AS pid")
    return int(Path(f"/proc/{row['pid']}/schedstat").read_text().split()[0]) / 1e9


# Rows and checks -----------------------------------------------------------------------------------------
def _hold(types: list[int], *, first: int, count: int, due: datetime, spread: float = 0) -> None:
    """Make `count` holds of a ticket, of the types in turn, that end from `due` over the next `spread` seconds."""
    among = {"first": types[0], "types": len(types), "due": due, "spread": spread}
    db.rows(_HOLDS, {**among, "from": first, "to": first + count - 1, "count": count})


def _settle() -> None:
    db.rows(_COUNT_HELD)
    db.rows("VACUUM ANALYZE tickets_reservation, tickets_inventory")


def _check(*, ended: int, held: int = 0, tally: Tally | None = None) -> None:
    """Raise BrokenError unless exactly `ended` holds have ended, each once and none before its time."""
    sale.check(tally, seeded=ended + held)
    [row] = db.rows(_OUTCOME)
    expected = {"ended": ended, "early": 0, "again": 0, "counted": ended}
    if row != expected:
        raise sale.BrokenError(f"Expected {expected} of the holds, found {row}.")


def _set_goals(report: Report) -> None:
    def release(types: int) -> Goal:
        of = f"{types} type{'s' if types > 1 else ''}"
        ratios = report.ratios(f"sweeper, {of}", f"one bare UPDATE, {of}", "release ms")
        return Goal(name=f"release of {of}: times one bare UPDATE", measured=ratios, most=4, aim=2)

    due, quiet, idle = "reserving, holds end", "reserving, nothing ends", "nothing due"
    sweeper, backend = (report.rounds(idle, f"{who} % of a core") for who in ("sweeper", "PostgreSQL"))
    report.goals += [
        release(1),
        release(TYPES),
        Goal(name="lateness, p99", measured=report.rounds(due, "late p99 ms"), most=1000, aim=375, unit="ms"),
        Goal(
            name="reserve p99 while holds expire: times the quiet p99",
            measured=report.ratios(due, quiet, "p99 ms"),
            most=1.3,
        ),
        Goal(
            name="CPU while nothing is due: share of a core",
            measured=[sum(pair) for pair in zip(sweeper, backend, strict=True)],
            most=0.5, unit="%",
        ),
    ]  # fmt: skip
