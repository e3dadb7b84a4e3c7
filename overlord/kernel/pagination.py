"""The pagination of the API's long lists, by cursors: without page numbers and counts, so that no page is slow.

A cursor names a position in a list: the values of the columns by which the list is ordered. The last of them is the
id, so that rows with the same date have different positions. If rows are added or removed meanwhile, no other row
is repeated or left out.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import BooleanField, F, Func, QuerySet, Value
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.kernel.query_params import unreadable, whole

Position = tuple[Any, ...]

_SEPARATOR = "~"
_UNKNOWN = "This cursor is not valid. Use the cursor from `next` or `previous` of this list."
# A cursor has a position and a side: it asks for the rows on this side of the position, in the list's order. The
# links of a page name the position of its first or last row. An empty page has no rows, so its links name the
# position of its own cursor, with `from` or `upto`, which include this position.
_FORWARDS = {"after": GreaterThan, "from": GreaterThanOrEqual}
_BACKWARDS = {"before": LessThan, "upto": LessThanOrEqual}
_REVERSED = {
    GreaterThan: LessThan,
    GreaterThanOrEqual: LessThanOrEqual,
    LessThan: GreaterThan,
    LessThanOrEqual: GreaterThanOrEqual,
}


class Pages:
    """The pages of one list: 25 rows each, or `?page_size=` up to 100.

    `columns` are the order: `date` and `id`, or only `id`. A minus before each of them means: the largest first.
    """

    size = 25
    largest = 100

    def __init__(self, *columns: str) -> None:
        self._names = [column.removeprefix("-") for column in columns]
        self._descending = columns[0].startswith("-")

    def respond(
        self, rows: QuerySet[Any], *, request: Request, show: Callable[[list[Any]], list[Any]]
    ) -> Response:
        """Return the page that the request asks for. `show` turns its rows into results.

        Raise Invalid for a cursor that is not one of ours, and for a page size that is not a whole number from 1.
        """
        size = whole(request.query_params, "page_size", default=self.size, least=1, most=LARGEST_ID)
        size = min(size, self.largest)
        cursor = request.query_params.get("cursor")
        side, position = ("", ()) if cursor is None else self._read(cursor)
        found = list(self._select(rows, side, position)[: size + 1])
        page, has_more = found[:size], len(found) > size
        backwards = side in _BACKWARDS
        if backwards:
            page.reverse()
        before, after = (has_more, True) if backwards else (cursor is not None, has_more)
        body = {
            "next": self._link(request, page[-1:], "after", "from", position) if after else None,
            "previous": self._link(request, page[:1], "before", "upto", position) if before else None,
            "results": show(page),
        }
        return Response(body)

    def _select(self, rows: QuerySet[Any], side: str, position: Position) -> QuerySet[Any]:
        backwards = side in _BACKWARDS
        minus = "-" if self._descending is not backwards else ""
        ordered = rows.order_by(*(minus + name for name in self._names))
        if not side:
            return ordered
        lookup = {**_FORWARDS, **_BACKWARDS}[side]
        if self._descending:
            lookup = _REVERSED[lookup]
        columns, values = map(F, self._names), map(Value, position)
        return ordered.filter(lookup(_row(*columns), _row(*values)))

    def _read(self, cursor: str) -> tuple[str, Position]:
        side, _, position = cursor.partition(_SEPARATOR)
        if side not in _FORWARDS and side not in _BACKWARDS:
            raise unreadable("cursor", _UNKNOWN)
        try:
            return side, position_read(position, self._names)
        except ValueError as error:
            raise unreadable("cursor", str(error)) from None

    def _link(
        self, request: Request, edge: Sequence[Any], side: str, side_if_empty: str, asked: Position
    ) -> str:
        """Return the address of the next or previous page.

        `edge` is a list of one row, the last or the first of this page; the other page begins beyond that row. If
        this page is empty, `edge` is empty, and the other page begins at `asked`, the position in this page's
        cursor.
        """
        if edge:
            row = edge[0]
            asked = tuple(row[name] if isinstance(row, dict) else getattr(row, name) for name in self._names)
        cursor = _SEPARATOR.join([side if edge else side_if_empty, position_text(asked)])
        return replace_query_param(request.build_absolute_uri(), "cursor", cursor)


def _row(*expressions: Any) -> Func:
    """Return a row value. PostgreSQL compares row values column by column, and can use an index on the columns."""
    return Func(*expressions, function="ROW", output_field=BooleanField())


def position_text(position: Position) -> str:
    """Return a position as text: "2027-01-08T19:30:00Z~12" for (2027-01-08 19:30 UTC, 12)."""
    return _SEPARATOR.join(
        value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else str(value)
        for value in position
    )


def position_read(text: str, names: Sequence[str]) -> Position:
    """Return the position that a text names; for any other text, raise ValueError with a sentence for clients."""
    parts = text.split(_SEPARATOR)
    if len(parts) != len(names):
        raise ValueError(_UNKNOWN)
    return tuple(_READ[name](part) for name, part in zip(names, parts, strict=True))


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        found = instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise ValueError(_UNKNOWN)
    return found


def _id(text: str) -> int:
    try:
        return whole_number(text, least=0, most=LARGEST_ID)
    except ValueError:
        raise ValueError(_UNKNOWN) from None


_READ: dict[str, Callable[[str], Any]] = {"date": _instant, "id": _id}
