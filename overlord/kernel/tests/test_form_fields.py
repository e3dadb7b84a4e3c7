import pytest
from django import forms
from django.test.html import parse_html

from overlord.kernel.form_fields import LongSelect

CHOICES = [("", "---"), ("a&b", "A & <b>"), (7, "seven")]


@pytest.mark.parametrize("chosen", [None, "", "a&b", 7, "7", "unknown"])
def test_a_long_select_is_the_element_that_django_makes(chosen: object) -> None:
    attributes = {"id": "id_zone", "required": True, "title": 'a "title"'}
    long, short = (kind(attrs=attributes, choices=CHOICES) for kind in (LongSelect, forms.Select))

    assert parse_html(long.render("zone", chosen)) == parse_html(short.render("zone", chosen))
