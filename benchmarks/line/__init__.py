"""Measure a line: entering, the draw, giving, the frames of screens, and the shown waiting time."""

import os
from collections.abc import Callable, Iterator

from benchmarks import load, sale
from benchmarks.cpu import Meter
from benchmarks.line import book, screens
from benchmarks.load import Load, Tally
from benchmarks.report import Goal, Report, Scale
from benchmarks.reserve import CONNECTIONS, add
from benchmarks.system import System
from overlord.kernel import db

RESERVE, ENTER, DRAW, GIVE, TIMES = "reserve", "enter", "draw", "give", "time shown"
RATE = "a second"
GIVEN_AT_LEAST = 5.0  # times the rate of reservations: 10,000 tickets in 5 s where 400 a second are reserved


def run(system: System, scale: Scale) -> Report:
    """Measure a line."""
    report = Report("Line")
    sale.clear()
    people, tickets = scale.pick(4_000, 50_000), scale.pick(800, 10_000)
    sale.buyers_make(people)
    system.start_workers()
    _enter(system, scale, report)
    system.stop("payments", "broadcasts", "upkeep", "beat", "web")  # the benchmark is the giver
    for _ in range(scale.rounds):
        _draw_and_give(report, people=people, tickets=tickets)
    report.add(TIMES, **{"median error": book.error_of_times(people=scale.pick(600, 1_500))})
    screens.measure(system, scale, report)
    _set_goals(report)
    report.notes.append(
        f"{people:,} entries, {tickets:,} tickets; the machine has {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f} at the end."
    )
    return report


def _enter(system: System, scale: Scale, report: Report) -> None:
    """Reserve and enter in turn, over the same connections, by buyers whose tokens are cached."""
    buyers = 4_000  # more than enter or reserve in a round
    sale.buyers_make(buyers)
    claimed = sale.event_make()
    [wished] = sale.event_make()
    event_id = sale.event_of(wished)
    crowd = Load(system.start_web("web"), CONNECTIONS)
    shares = [range(1, buyers + 1)[nth::CONNECTIONS] for nth in range(CONNECTIONS)]
    crowd.run([sale.looks(each) for each in shares], seconds=600)

    def reserve() -> Tally:
        sale.reset()
        return crowd.run([sale.claims(each, claimed) for each in shares], seconds=scale.seconds)

    def enter() -> Tally:
        book.lobby_open(event_id)
        return crowd.run([_entries(each, event_id, wished) for each in shares], seconds=scale.seconds)

    turns: list[tuple[str, Callable[[], Tally]]] = [(RESERVE, reserve), (ENTER, enter)]
    for nth in range(scale.rounds):
        for name, turn in turns if nth % 2 == 0 else reversed(turns):
            crowd.run([iter([load.request("GET", "/livez/")]) for _ in shares], seconds=60)
            meter = Meter(
                system, {"web": ["web"], "postgres": ["postgres"], "workers": ["upkeep", "broadcasts"]}
            )
            tally = turn()
            add(report, name, tally, tally.statuses[201], meter.spent())
            if name == ENTER:
                book.check_lobby(event_id, entered=tally.statuses[201])
            else:
                sale.check(tally)
    crowd.close()


def _entries(buyers: range, event_id: int, ticket_type: int) -> Iterator[bytes]:
    """Yield an entry for each buyer, of one ticket."""
    body = f'{{"items": [{{"ticket_type": {ticket_type}, "amount": 1}}]}}'
    for buyer in buyers:
        path = f"/event/events/{event_id}/line/"
        yield load.request("POST", path, token=sale.token(buyer), body=body)


def _draw_and_give(report: Report, *, people: int, tickets: int) -> None:
    sale.clear()
    event_id = book.line_make(people=people, tickets=tickets)
    db.rows("VACUUM ANALYZE line_entry")
    seconds, cpu = book.timed(lambda: book.draw(event_id, people=people))
    report.add(DRAW, **{"seconds": seconds, "giver us": cpu * 1e6 / people})
    seconds, cpu = book.timed(lambda: book.give(event_id, tickets=tickets))
    report.add(GIVE, **{"seconds": seconds, RATE: tickets / seconds, "giver us": cpu * 1e6 / tickets})
    sale.check()


def _set_goals(report: Report) -> None:
    given = [
        rate / reserved
        for rate, reserved in zip(report.rounds(GIVE, RATE), report.rounds(RESERVE, RATE), strict=True)
    ]
    report.goals += [
        Goal(
            name="entries: share of the rate of reservations",
            measured=report.ratios(ENTER, RESERVE, RATE), least=0.85,
        ),
        Goal(name="draw", measured=report.rounds(DRAW, "seconds"), most=1.0, unit="s"),
        Goal(name="giving: times the rate of reservations", measured=given, least=GIVEN_AT_LEAST),
        Goal(name="time shown: median error", measured=report.rounds(TIMES, "median error"), most=0.2),
    ]  # fmt: skip
    screens.set_goals(report)
