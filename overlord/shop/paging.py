"""The pages of a long list: read the number of the page from a request, and read its rows."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from overlord.kernel.form_fields import WholeNumberField

MOST_PAGES = 10_000


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list. Pages are counted from 1."""

    rows: list[Any]
    number: int
    is_last: bool


def page_of(found: QuerySet[Any, Any], *, number: int, most: int) -> Page:
    """Return a page of at most `most` rows. It reads one row more, to find out whether the page is the last."""
    first = (number - 1) * most
    rows = list(found[first : first + most + 1])
    return Page(rows=rows[:most], number=number, is_last=len(rows) <= most)


def page_number(request: HttpRequest) -> int:
    """Return the number of the page that a request asks for; 1 if it has no valid number."""
    field = WholeNumberField(min_value=1, max_value=MOST_PAGES)
    try:
        return int(field.clean(request.GET.get("page", "1")))
    except forms.ValidationError:
        return 1
