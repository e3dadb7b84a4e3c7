"""Python computes the results of `parity.json`. `test_browser.py` checks the same cases in JavaScript."""

import pytest
from django.utils import translation

from tests import parity


@pytest.mark.parametrize("language", parity.LANGUAGES)
def test_python_returns_the_results_of_the_cases(language: str) -> None:
    with translation.override(language):
        assert parity.differences(parity.in_python(), language) == []


def test_a_planted_difference_is_found() -> None:
    with translation.override("en"):
        found = parity.differences(parity.in_python(), "en", cases=parity.planted())
    assert len(found) == len(parity.CASES)
