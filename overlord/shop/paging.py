"""The pages of a long list: which one a request asks for, and its rows."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from overlord.kernel.form_fields import WholeNumberField

MOST_PAGES = 10_000


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list."""

    rows: list[Any]
    number: int
    is_last: bool


def page_of(found: QuerySet[Any, Any], *, number: int, most: int) -> Page:
    """Return a page of at most `most` rows of a list. One row more is read, to know whether the list goes on."""
    first = (number - 1) * most
    rows = list(found[first : first + most + 1])
    return Page(rows=rows[:most], number=number, is_last=len(rows) <= most)


def page_number(request: HttpRequest) -> int:
    """Return the requested page of a list; the first one if the request has no number."""
    field = WholeNumberField(min_value=1, max_value=MOST_PAGES)
    try:
        return int(field.clean(request.GET.get("page", "1")))
    except forms.ValidationError:
        return 1
