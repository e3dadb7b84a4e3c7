"""What keeps a draft from going on sale, on plain values."""

from datetime import UTC, datetime, timedelta

import pytest

from tickets.event_rules import Hindrance, SaleOfType, hindrances

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def sale(capacity: int, closes_at: datetime) -> SaleOfType:
    return SaleOfType(capacity=capacity, closes_at=closes_at)


@pytest.mark.parametrize(
    ("date", "sales", "expected"),
    [
        (NOW + DAY, [sale(1, NOW + DAY)], []),
        (NOW + DAY, [sale(1, NOW), sale(1, NOW + DAY)], []),
        (NOW, [sale(1, NOW)], [Hindrance.BEGUN]),
        (NOW + DAY, [], [Hindrance.NO_TICKETS]),
        (NOW - DAY, [sale(0, NOW + DAY)], [Hindrance.BEGUN, Hindrance.NO_TICKETS]),
        (NOW + DAY, [sale(1, NOW), sale(0, NOW + DAY)], [Hindrance.CLOSED]),
    ],
)
def test_a_draft_needs_a_date_to_come_and_something_to_sell_until_then(
    date: datetime, sales: list[SaleOfType], expected: list[Hindrance]
) -> None:
    assert hindrances(date=date, sales=sales, now=NOW) == expected
