"""Amounts at Stripe are the same money as ours, or are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.gateways.stripe_amounts import NotAtStripe, from_stripe, to_stripe
from overlord.kernel import money


@pytest.mark.parametrize(
    ("currency", "minor", "theirs"),
    [
        ("EUR", 1_234, 1_234),
        ("JPY", 1_500, 1_500),
        ("ISK", 5_000, 500_000),  # 5,000 kr., which Stripe writes with two decimals
        ("MGA", 500_000, 5_000),  # Ar 5,000.00, which Stripe writes without decimals
        ("KWD", 1_230, 1_230),
    ],
)
def test_an_amount_is_the_same_money_at_stripe(currency: str, minor: int, theirs: int) -> None:
    assert to_stripe(minor, currency) == theirs
    assert from_stripe(theirs, currency) == minor


@pytest.mark.parametrize(("currency", "minor"), [("KWD", 1_234), ("MGA", 150), ("UGX", 5_000)])
def test_an_amount_that_stripe_cannot_represent_is_refused(currency: str, minor: int) -> None:
    with pytest.raises(NotAtStripe):
        to_stripe(minor, currency)


@given(st.integers(0, money.LARGEST_MINOR), st.sampled_from(["EUR", "JPY", "ISK", "MGA", "KWD"]))
def test_an_amount_is_read_back_unchanged(minor: int, currency: str) -> None:
    try:
        there = to_stripe(minor, currency)
    except NotAtStripe:
        return
    assert from_stripe(there, currency) == minor
