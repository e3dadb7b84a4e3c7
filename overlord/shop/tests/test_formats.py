"""Money as people read it."""

import pytest

from overlord.shop import formats


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("15.00", "EUR", "€15.00"),
        ("1500.00", "EUR", "€1,500.00"),
        ("980", "JPY", "¥980"),
        ("1.234", "KWD", "KWD\N{NO-BREAK SPACE}1.234"),
        ("15.50", "RSD", "RSD\N{NO-BREAK SPACE}15.50"),
    ],
)
def test_money_is_written_with_all_its_digits(amount: str, currency: str, written: str) -> None:
    assert formats.money(amount, currency) == written
