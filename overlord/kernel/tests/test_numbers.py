"""Whole numbers and query parameters as clients write them."""

import pytest
from django import forms
from rest_framework import serializers

from overlord.kernel import query_params
from overlord.kernel.errors import Invalid
from overlord.kernel.form_fields import WholeNumberField as FormField
from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.kernel.serializer_fields import MoneyField, WholeNumberField

MALFORMED = [
    "",
    " ",
    " 1",
    "1_0",
    "\N{FULLWIDTH DIGIT TWO}",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "²",
    "1e3",
    "1e999999",
    "+1",
    "-1",
    "1.0",
    "0x1",
    "9" * 5001,
    "\0",
    "\ud800",
]
NO_NUMBERS = [None, True, 1.0, 1e3, float("inf"), [1], {"a": 1}, b"1"]
OUTSIDE = [0, 11, -1, "0", "11", 10**30]


@pytest.mark.parametrize(("given", "number"), [(1, 1), (10, 10), ("1", 1), ("10", 10), ("007", 7)])
def test_plain_digits_in_the_range_are_read(given: object, number: int) -> None:
    assert whole_number(given, least=1, most=10) == number


@pytest.mark.parametrize("given", [*MALFORMED, *NO_NUMBERS, *OUTSIDE])
def test_anything_else_is_refused_with_the_range(given: object) -> None:
    with pytest.raises(ValueError, match="a whole number from 1 to 10"):
        whole_number(given, least=1, most=10)


def test_the_largest_id_is_read_and_the_next_number_refused() -> None:
    assert whole_number(str(LARGEST_ID), least=1, most=LARGEST_ID) == LARGEST_ID
    with pytest.raises(ValueError, match="whole number"):
        whole_number(str(LARGEST_ID + 1), least=1, most=LARGEST_ID)


class TestFields:
    """The fields of the API and of forms use this rule only."""

    @pytest.mark.parametrize("given", [*MALFORMED, True, 1.0, 1e3, [1], *OUTSIDE])
    def test_the_apis_field_refuses_the_same(self, given: object) -> None:
        with pytest.raises(serializers.ValidationError):
            WholeNumberField(min_value=1, max_value=10).run_validation(given)

    @pytest.mark.parametrize(
        "given", ["1_0", "\N{FULLWIDTH DIGIT TWO}", "²", "1e3", "-1", "1.0", "0", "11", "9" * 5001, "\0"]
    )
    def test_the_forms_field_refuses_the_same(self, given: str) -> None:
        with pytest.raises(forms.ValidationError):
            FormField(min_value=1, max_value=10).clean(given)

    def test_both_read_a_number(self) -> None:
        assert WholeNumberField(min_value=1, max_value=10).run_validation("10") == 10
        assert FormField(min_value=1, max_value=10).clean(" 10 ") == 10
        assert FormField(min_value=1, max_value=10, required=False).clean("") is None

    @pytest.mark.parametrize("given", [1, 1.5, True, None, "", ["1"], "1" * 31])
    def test_money_in_the_api_is_a_string(self, given: object) -> None:
        assert MoneyField().run_validation("15.00") == "15.00"
        with pytest.raises(serializers.ValidationError):
            MoneyField().run_validation(given)


class TestQueryParams:
    @pytest.mark.parametrize(
        ("params", "value"), [({}, False), ({"f": "true"}, True), ({"f": "1"}, True), ({"f": "False"}, False)]
    )
    def test_a_flag_is_true_or_false(self, params: dict[str, str], value: bool) -> None:
        assert query_params.flag(params, "f") is value

    @pytest.mark.parametrize("text", ["", "banana", "yes", "\N{FULLWIDTH DIGIT ONE}", "2"])
    def test_a_flag_that_is_neither_is_refused(self, text: str) -> None:
        with pytest.raises(Invalid) as refused:
            query_params.flag({"f": text}, "f")
        assert refused.value.facts == {"errors": {"f": ["This must be true or false."]}}

    def test_a_number_has_a_default_and_a_range(self) -> None:
        def read(**params: str) -> int:
            return query_params.whole(params, "n", default=5, least=1, most=9)

        assert (read(), read(n="9")) == (5, 9)
        for text in ("", "0", "10", "1_0", "banana"):
            with pytest.raises(Invalid):
                read(n=text)
