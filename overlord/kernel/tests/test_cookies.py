"""Cookies are read as every Python reads them, and quickly also by those Pythons that are slow at it."""

import http.cookies
import sys

import pytest
from django.http import parse_cookie

from overlord.kernel import cookies


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        ('"quoted"', "quoted"),
        (r'"a\"b\\c"', r'a"b\c'),
        (r'"[1\0542]"', "[1,2]"),
        (r'"\400\9\x"', "4009x"),
        (r"\054", r"\054"),
        ('"', '"'),
        ('""', ""),
        (r'"\"', "\\"),
        (r'"\101\"', "A\\"),
    ],
)
def test_a_value_is_unquoted(written: str, value: str) -> None:
    assert cookies.unquoted(written) == value
    assert parse_cookie(f"a={written}; b=1") == {"a": value, "b": "1"}


def test_a_million_backslashes_are_read() -> None:
    """Python 3.11.7 would need hours for this."""
    backslash = "\\"
    assert parse_cookie('a="' + backslash * 1_000_000 + '"') == {"a": backslash * 500_000}


def test_only_a_python_that_needs_it_is_changed() -> None:
    is_slow = sys.version_info < (3, 11, 10) or (3, 12) <= sys.version_info < (3, 12, 6)
    assert (http.cookies._unquote is cookies.unquoted) == is_slow
