"""Money, as whole minor units and as text."""

import re

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
        (1550, "RSD", "15.50"),
        (1234, "IQD", "1.234"),
    ],
)
def test_text_has_the_currencys_digits(minor: int, currency: str, text: str) -> None:
    assert money.to_text(minor, currency) == text
    assert money.to_minor(text, currency) == minor


@given(st.integers(0, money.LARGEST_MINOR), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_text_reads_back_as_the_same(minor: int, currency: str) -> None:
    assert money.to_minor(money.to_text(minor, currency), currency) == minor


@pytest.mark.parametrize(("text", "minor"), [("15", 1500), ("15.0", 1500), ("015.00", 1500), ("0", 0)])
def test_fewer_decimals_than_the_currency_has_are_accepted(text: str, minor: int) -> None:
    assert money.to_minor(text, "EUR") == minor


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "ten",
            "-1",
            "+1",
            "NaN",
            "Infinity",
            "1_0",
            "1_0.00",
            "\N{FULLWIDTH DIGIT TWO}",
            "1\N{ARABIC DECIMAL SEPARATOR}5",
            "1,50",
            ".5",
            "1.",
        ),
        *("1e3", "1E3", "1e30", "1e999999", "1e-999999", " 1", "1.005", "1.500", "9" * 5001, "\0", "\ud800"),
    ],
)
def test_a_malformed_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimal places") as refused:
        money.to_minor(text, "EUR")
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("18,50", "EUR", 1850), (" 18,5 ", "EUR", 1850), ("18.50", "EUR", 1850), ("1,50", "KWD", 1500)],
)
def test_a_person_may_write_a_decimal_comma(text: str, currency: str, minor: int) -> None:
    assert money.written_to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1,500", "EUR"),
        ("1,500", "KWD"),
        ("1,234,50", "EUR"),
        ("1.234,50", "EUR"),
        ("18,50", "JPY"),
        (",5", "EUR"),
    ],
)
def test_a_comma_that_may_mean_thousands_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimal places"):
        money.written_to_minor(text, currency)


def test_the_sentence_about_a_wrong_amount_names_the_accepted_forms() -> None:
    with pytest.raises(ValueError, match="for example") as refused:
        money.written_to_minor("15 EUR", "EUR")
    named = re.findall(r"15[.,]00", str(refused.value))
    assert [money.written_to_minor(each, "EUR") for each in named] == [1500, 1500]


@pytest.mark.parametrize(
    ("currency", "most"), [("JPY", "1000000000000"), ("EUR", "10000000000"), ("CLF", "100000000")]
)
def test_the_sentence_about_a_too_large_amount_names_the_largest(currency: str, most: str) -> None:
    with pytest.raises(ValueError, match=f"between 0 and {most}\\.$"):
        money.to_minor(f"{most}1", currency)
    assert money.to_minor(most, currency) == money.LARGEST_MINOR


def test_the_largest_amount_is_read_and_the_next_refused() -> None:
    assert money.to_minor("10000000000.00", "EUR") == money.LARGEST_MINOR
    with pytest.raises(ValueError, match="between 0 and"):
        money.to_minor("10000000000.01", "EUR")


@pytest.mark.parametrize("code", ["EUR", "JPY", "KWD", "RSD", "CLF", "XAF"])
def test_a_currency_in_use_is_accepted(code: str) -> None:
    assert money.is_currency(code)


@pytest.mark.parametrize(
    "code", ["DEM", "XXX", "XTS", "XAU", "XDR", "HRK", "ZWL", "eur", "EU", "", "Euro", "978"]
)
def test_a_withdrawn_currency_or_one_without_digits_is_refused(code: str) -> None:
    assert not money.is_currency(code)


def test_amounts_of_a_currency_withdrawn_since_are_still_shown() -> None:
    assert money.to_text(1500, "DEM") == "15.00"


@pytest.mark.parametrize(
    ("amounts", "currency", "total"),
    [
        (["15.00", "0.99"], "EUR", "15.99"),
        (["6800", "200"], "JPY", "7000"),
        ([], "KWD", "0.000"),
        (["10000000000.00", "10000000000.00"], "EUR", "20000000000.00"),
    ],
)
def test_a_total_may_be_above_the_largest_price(amounts: list[str], currency: str, total: str) -> None:
    assert money.total(amounts, currency) == total
