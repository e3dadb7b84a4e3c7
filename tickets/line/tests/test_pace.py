"""The pace of a line in simulated servings: plain values, no clock and no database."""

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tickets.line import pace, rules
from tickets.line.pace import Pace
from tickets.line.rules import LineActionRefused

DRAWN = datetime(2027, 1, 8, 19, 30, tzinfo=UTC)
TICK = 0.5
SHORT = 10.0  # seconds; the error of a shorter wait does not count

Act = Callable[[Pace, datetime], Pace]


@dataclass
class Serving:
    """The result of a simulation: pace and number served at each tick, and the time of each place's turn."""

    pace: Pace
    shown: list[int] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    turns: dict[int, float] = field(default_factory=dict)

    def median_error(self) -> float:
        """Return the median error of the time shown, as a share of the wait, at each fifth second."""
        errors = [
            abs(seconds - wait) / wait
            for nth, (shown, served) in list(enumerate(zip(self.shown, self.served, strict=True)))[::10]
            for place in range(served + 2, max(self.turns), 10)
            if (seconds := rules.seconds_to_wait(rules.people_ahead(place, served), shown)) is not None
            and (wait := self.turns[place] - nth * TICK) >= SHORT
        ]
        return statistics.median(errors)


def serve(
    people: int,
    *,
    limit: int | None = None,
    each_tick: int = 500,
    ticks: int = 2_000,
    acts: Mapping[int, Act] | None = None,
    holds: Collection[int] = (),
    stands: Collection[int] = (),
    left: Collection[int] = (),
) -> Serving:
    """Serve so many people, at most `each_tick` in a tick, until all are served or the ticks are over.

    `acts` has the actions of staff by tick, `holds` and `stands` have the ticks at which the line is held or has
    nothing to give, and `left` has the places of people who left.
    """
    told = Serving(Pace(limit=limit))
    waiting = [place for place in range(1, people + 1) if place not in set(left)]
    served, was_standing = 0, False
    for tick in range(ticks):
        now = DRAWN + timedelta(seconds=tick * TICK)
        if acts and tick in acts:
            told.pace = acts[tick](told.pace, now)
        may_give = tick not in holds and tick not in stands
        turns = pace.turns_now(told.pace, now=now) if may_give else 0
        batch = waiting[: each_tick if turns is None else min(turns, each_tick)]
        if batch:
            del waiting[: len(batch)]
            told.turns.update(dict.fromkeys(range(served + 1, batch[-1] + 1), tick * TICK))
            told.pace = pace.moved(
                told.pace, places=batch[-1] - served, turns_again=0, was_standing=was_standing, now=now
            )
            served = batch[-1]
        was_standing = tick in stands
        told.shown.append(pace.shown(told.pace))
        told.served.append(served)
        if not waiting:
            break
    return told


def to(limit: int | None) -> Act:
    """Return the action of staff that sets a limit."""
    return lambda before, now: pace.limited(before, limit=limit, now=now)


def hold(before: Pace, _now: datetime) -> Pace:
    return pace.rested(before)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (serve(0, ticks=1), 0),
        (serve(0, ticks=1, limit=600), 600),
        (serve(1), 0),
        (serve(1, limit=600), 600),
        (serve(800), 0),
        (serve(4_000, ticks=8), 0),
        (serve(20_000, ticks=40), 60_000),
        (serve(500, each_tick=1, ticks=100), 120),
        (serve(500, limit=600, ticks=100, left=range(5, 500, 5)), 600),
        (serve(500, limit=7, ticks=100), 7),
        (serve(2_000, limit=600, each_tick=2, ticks=400), 240),
    ],
    ids=[
        "nobody served", "nobody served, limited", "one served", "one served, limited",
        "a draw served in one batch", "a draw served within seconds", "fast for long", "slow for long",
        "every fifth left", "seven a minute", "slower than staff allow",
    ],
)  # fmt: skip
def test_the_shown_pace_follows_the_serving(told: Serving, expected: int) -> None:
    assert told.shown[-1] == expected


@pytest.mark.parametrize("change", [to(300), to(1_200), to(None)], ids=["halved", "doubled", "free"])
def test_another_limit_is_shown_at_once(change: Act) -> None:
    told = serve(2_000, limit=600, ticks=61, acts={60: change})

    assert told.shown[-2:] == [600, told.pace.limit or 0]


@pytest.mark.parametrize(
    ("told", "most"),
    [
        (serve(1_500, limit=600), 0.02),
        (serve(1_500, limit=600, left=range(5, 1_500, 5)), 0.03),
        (serve(1_500, limit=600, acts={150: to(300)}), 0.2),
        (serve(1_500, limit=600, acts={150: to(300)}, left=range(5, 1_500, 5)), 0.2),
        (serve(1_500, limit=600, acts={150: to(1_200)}), 0.2),
        (serve(900, limit=4, ticks=4_000), 0.05),
        (serve(6_000, each_tick=10), 0.02),
        (serve(1_500, limit=600, each_tick=4), 0.1),
    ],
    ids=[
        "steady", "every fifth left", "halved midway", "halved midway, every fifth left", "doubled midway",
        "four a minute", "without a limit", "slower than staff allow",
    ],
)  # fmt: skip
def test_the_shown_time_is_nearly_right(told: Serving, most: float) -> None:
    assert told.median_error() <= most


@pytest.mark.parametrize(
    "told",
    [
        serve(6_000, each_tick=10, ticks=300, holds=range(100, 220), acts={100: hold}),
        serve(6_000, each_tick=10, ticks=300, stands=range(100, 220)),
    ],
    ids=["held", "standing"],
)
def test_time_without_serving_is_not_measured(told: Serving) -> None:
    assert {told.shown[99], told.shown[220], told.shown[-1]} == {1_200}


def test_a_line_has_no_turns_for_the_time_while_it_was_held() -> None:
    told = serve(1_000, limit=600, ticks=230, holds=range(100, 220), acts={100: hold})

    assert told.served[219:222] == [495, 496, 500]


def test_a_limit_counts_places_and_those_who_left_have_one() -> None:
    told = serve(1_200, limit=600, ticks=100, left=range(5, 1_200, 5))

    assert 480 <= told.served[-1] <= 500


@pytest.mark.parametrize("limit", [1, 4, 11, 12, 600, 5_999])
def test_no_limit_stops_a_line(limit: int) -> None:
    told = serve(4 * limit, limit=limit, ticks=361)

    assert 3 * limit <= told.served[-1] <= 3 * limit + 2


def test_a_line_may_catch_up_only_so_many_turns() -> None:
    before = Pace(limit=60, since=DRAWN)

    assert pace.turns_now(before, now=DRAWN + timedelta(hours=1)) == 5
    assert pace.turns_now(before, now=DRAWN - timedelta(seconds=1)) == 0, "another process has another clock"
    assert pace.turns_now(Pace(limit=60), now=DRAWN) == 1
    assert pace.turns_now(Pace(), now=DRAWN) is None


def test_turns_of_those_who_come_again_use_the_limit_and_move_the_line_no_further() -> None:
    before = Pace(limit=60, since=DRAWN)
    now = DRAWN + timedelta(seconds=4)
    after = pace.moved(before, places=1, turns_again=3, was_standing=False, now=now)

    assert (after.since, after.places, after.seconds) == (now, 1, 4)
    assert pace.turns_now(after, now=now) == 0


def test_slower_halves_what_is_shown_and_faster_doubles_up_to_no_limit() -> None:
    assert [pace.slower(each) for each in (Pace(), Pace(limit=600), Pace(limit=1))] == [3_000, 300, 1]
    measured = Pace(limit=600, places=100, seconds=30)
    assert pace.slower(measured) == 100
    assert [pace.faster(Pace(limit=limit)) for limit in (300, 3_000)] == [600, None]
    with pytest.raises(LineActionRefused):
        pace.faster(Pace())
