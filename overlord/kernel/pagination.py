"""Cursor pagination, as every list of the API has it: no page number, no count, no deep page that is slow."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Pages(CursorPagination):
    """25 rows a page, `?page_size=` up to 100, in the order given."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"

    def __init__(self, *order: str) -> None:
        super().__init__()
        self.order = order

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        return self.order

    def respond(
        self, rows: QuerySet[Any], *, request: Request, view: APIView, show: Callable[[list[Any]], list[Any]]
    ) -> Response:
        """Will answer the page that the request asks for, its rows as `show` gives them.

        Raises NotFound for a cursor that is none of ours.
        """
        try:
            page = self.paginate_queryset(rows, request, view)
        except (ValidationError, ValueError, DataError):
            raise NotFound(self.invalid_cursor_message) from None
        return self.get_paginated_response(show(list(page or ())))
