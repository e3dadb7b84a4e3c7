"""Money, as whole minor units and as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlord.kernel import money


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1500, "EUR", "15.00"),
        (5, "USD", "0.05"),
        (0, "EUR", "0.00"),
        (980, "JPY", "980"),
        (1234, "KWD", "1.234"),
    ],
)
def test_text_has_the_currencys_digits(minor: int, currency: str, text: str) -> None:
    assert money.to_text(minor, currency) == text


@given(st.integers(0, money.LARGEST), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_text_reads_back_as_the_same(minor: int, currency: str) -> None:
    assert money.to_minor(money.to_text(minor, currency), currency) == minor


@pytest.mark.parametrize("text", ["", "ten", "-1", "1.005", "NaN", "Infinity", "1e30", "1_0x"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals"):
        money.to_minor(text, "EUR")
