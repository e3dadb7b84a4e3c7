"""Why a draft cannot go on sale, what is resumed, and when a moved event ends, on plain values."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tickets.event_rules import (
    Obstacle,
    PauseOfType,
    SaleOfType,
    Switch,
    end_moved,
    is_paused_as_a_whole,
    obstacles,
    resumed,
    switch_of,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def sale(capacity: int, closes_at: datetime) -> SaleOfType:
    return SaleOfType(capacity=capacity, closes_at=closes_at)


@pytest.mark.parametrize(
    ("date", "sales", "expected"),
    [
        (NOW + DAY, [sale(1, NOW + DAY)], []),
        (NOW + DAY, [sale(1, NOW), sale(1, NOW + DAY)], []),
        (NOW, [sale(1, NOW)], [Obstacle.BEGUN]),
        (NOW + DAY, [], [Obstacle.NO_TICKETS]),
        (NOW - DAY, [sale(0, NOW + DAY)], [Obstacle.BEGUN, Obstacle.NO_TICKETS]),
        (NOW + DAY, [sale(1, NOW), sale(0, NOW + DAY)], [Obstacle.CLOSED]),
    ],
)
def test_a_draft_needs_a_date_to_come_and_something_to_sell_until_then(
    date: datetime, sales: list[SaleOfType], expected: list[Obstacle]
) -> None:
    assert obstacles(date=date, by_draw=False, sales=sales, now=NOW) == expected


@pytest.mark.parametrize(
    ("openings", "by_draw", "expected"),
    [
        ([(None, False)], True, [Obstacle.NO_OPENING]),
        ([(None, False), (NOW + HOUR, True)], True, [Obstacle.NO_OPENING]),
        ([(None, False), (NOW + HOUR, False)], True, []),
        ([(NOW, False), (NOW + HOUR, False)], True, [Obstacle.OPENING_PASSED]),
        ([(NOW, True), (NOW + HOUR, False)], True, []),
        ([(NOW, False)], False, []),
        ([(None, True)], True, []),
        ([(None, False)], False, []),
    ],
)
def test_a_draw_needs_a_time_to_come_of_a_type_that_buyers_see(
    openings: list[tuple[datetime | None, bool]], by_draw: bool, expected: list[Obstacle]
) -> None:
    sales = [
        SaleOfType(capacity=1, closes_at=NOW + DAY, opens_at=opens_at, hidden=hidden)
        for opens_at, hidden in openings
    ]
    assert obstacles(date=NOW + DAY, by_draw=by_draw, sales=sales, now=NOW) == expected


def test_the_opening_time_of_a_sale_that_has_ended_begins_no_draw() -> None:
    ended = SaleOfType(capacity=1, closes_at=NOW, opens_at=NOW - DAY)
    general = SaleOfType(capacity=1, closes_at=NOW + DAY)

    assert obstacles(date=NOW + DAY, by_draw=True, sales=[ended, general], now=NOW) == [Obstacle.NO_OPENING]


ON, PAUSED, ALONE = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("types", "expected", "whole"),
    [
        ([], [], False),
        ([ON, ON], [], False),
        ([PAUSED, PAUSED], [0, 1], True),
        ([PAUSED, ALONE], [0], True),
        ([ON, ALONE], [], False),
        ([ON, PAUSED], [1], False),
        ([ALONE, ALONE], [0, 1], False),
    ],
)
def test_types_that_were_paused_alone_are_resumed_only_if_nothing_else_is_on_sale_or_paused(
    types: list[tuple[bool, bool]], expected: list[int], whole: bool
) -> None:
    pauses = [
        PauseOfType(ticket_type=nth, paused=paused, alone=alone, closes_at=NOW + DAY)
        for nth, (paused, alone) in enumerate(types)
    ]
    assert resumed(pauses, now=NOW) == expected
    assert is_paused_as_a_whole(pauses) == whole


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([], Switch.NOTHING),
        ([(False, NOW), (True, NOW)], Switch.NOTHING),
        ([(False, NOW + DAY)], Switch.PAUSE),
        ([(True, NOW + DAY), (False, NOW + DAY)], Switch.PAUSE),
        ([(True, NOW + DAY), (False, NOW)], Switch.RESUME),
        ([(True, NOW + DAY), (True, NOW + DAY)], Switch.RESUME),
    ],
)
def test_a_sale_is_resumed_only_if_all_that_goes_on_is_paused(
    types: list[tuple[bool, datetime]], expected: Switch
) -> None:
    assert switch_of(types, now=NOW) == expected


def test_a_type_whose_sale_has_ended_does_not_go_on() -> None:
    ended = PauseOfType(ticket_type=1, paused=False, alone=False, closes_at=NOW)
    assert resumed(
        [ended, PauseOfType(ticket_type=2, paused=True, alone=True, closes_at=NOW + DAY)], now=NOW
    ) == [2]


def test_a_short_event_that_moves_into_the_hour_that_comes_twice_ends_after_it_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begins, ends = (datetime(2030, 10, 20, 2, minute, tzinfo=berlin) for minute in (10, 40))
    date = datetime(2030, 10, 27, 2, 10, tzinfo=berlin, fold=1)

    moved = end_moved(before=(begins, ends), before_in=berlin, date=date, ends_at=ends, now_in=berlin)

    assert moved.astimezone(UTC) - date.astimezone(UTC) == timedelta(minutes=30)
