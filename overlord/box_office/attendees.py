"""The attendees of an event: a row for each ticket, for a page, a CSV file and a spreadsheet.

What must stay true: a list is read in parts, so that a long list needs no more memory than a short one.
"""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from overlord.accounts.selectors import buyer_named
from overlord.kernel import money
from overlord.shop import formats, searches
from tickets.admission.models import Ticket

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ON_A_PAGE = 100
READ_AT_ONCE = 2_000
COLUMNS = (
    "serial",
    "ticket_type",
    "holder",
    "buyer",
    "email",
    "state",
    "admitted_at",
    "gate",
    "order",
    "price",
)
WIDTHS = (14, 18, 24, 24, 32, 11, 34, 16, 10, 14)  # of the spreadsheet's columns, in characters
# If the text of a cell begins with one of these characters, spreadsheet programs read it as a formula.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def found(*, event_id: int, ticket_type: int | None, state: str, search: str) -> QuerySet[Ticket]:
    """Select the tickets of an event that pass a filter, in the order of their ids.

    `ticket_type` None and `state` "" select all tickets. A ticket must match each word of the search.
    """
    tickets = Ticket.objects.filter(event_id=event_id)
    if ticket_type is not None:
        tickets = tickets.filter(reservation__ticket_type_id=ticket_type)
    if state:
        tickets = tickets.filter(state=state)
    for word in searches.words(search):
        tickets = tickets.filter(_named(word))
    return tickets.order_by("pk")


def _named(word: str) -> Q:
    named = Q(holder__icontains=word) | Q(handed_to__icontains=word) | Q(serial=word.upper())
    return named | buyer_named(word, through="reservation__buyer__")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the list.

    `before` and `after` are the arguments of `part` for the parts before and after this one; None if there is no
    such part.
    """

    rows: list[dict[str, Any]]
    before: int | None
    after: int | None


def part(tickets: QuerySet[Ticket], *, before: int | None, after: int | None) -> Part:
    """Return at most ON_A_PAGE tickets: the last ones below the id `before`, or the first ones above `after`.

    Without these arguments, or if no ticket is below `before`, return the first tickets of all. A part begins at an
    id and not at a position in the list: when a ticket is admitted, it leaves the list of valid tickets, and all
    later positions change. A reader who goes on at the next position would miss a ticket.
    """
    if before is not None and (
        found := list(rows(tickets.filter(pk__lt=before)).order_by("-pk")[: ON_A_PAGE + 1])
    ):
        here = found[:ON_A_PAGE][::-1]
        is_first = len(found) <= ON_A_PAGE
        return Part(rows=here, before=None if is_first else here[0]["pk"], after=here[-1]["pk"])
    begins = 0 if before is not None or after is None else after
    found = list(rows(tickets.filter(pk__gt=begins))[: ON_A_PAGE + 1])
    here, is_last = found[:ON_A_PAGE], len(found) <= ON_A_PAGE
    return Part(
        rows=here,
        before=begins + 1 if begins else None,
        after=None if is_last else here[-1]["pk"],
    )


def rows(tickets: QuerySet[Ticket]) -> QuerySet[Ticket, Any]:
    """Select the columns of the list for each ticket, as dicts."""
    return tickets.values(
        "pk",
        "serial",
        "holder",
        "handed_to",
        "state",
        "admitted_at",
        "admitted_gate",
        "reservation_id",
        ticket_type=F("reservation__ticket_type__name"),
        username=F("reservation__buyer__username"),
        is_guest=F("reservation__buyer__is_guest"),
        contact_name=F("reservation__buyer__contact_name"),
        email=F("reservation__buyer__email"),
        contact_email=F("reservation__buyer__contact_email"),
        lead=F("reservation__lead_id"),
        price_minor=F("reservation__unit_price_minor"),
        currency=F("reservation__currency"),
    )


def shown(row: dict[str, Any], *, zone: str) -> dict[str, str]:
    """Return the texts of a row by the names in COLUMNS. Times are in the time zone `zone`."""
    admitted: datetime | None = row["admitted_at"]
    return {
        "serial": row["serial"],
        "ticket_type": row["ticket_type"],
        "holder": row["holder"] or _receiver(row["handed_to"]),  # the door shows the same name
        "buyer": row["contact_name"] or ("" if row["is_guest"] else row["username"]),
        "email": row["email"] or row["contact_email"],
        "state": row["state"],
        "admitted_at": formats.date_time(admitted, zone) if admitted else "",
        "gate": row["admitted_gate"],
        "order": str(row["lead"] or row["reservation_id"]),
        "price": f"{money.to_text(row['price_minor'], row['currency'])} {row['currency']}",
    }


def _receiver(handed_to: str) -> str:
    """Return the text for the person to whom a ticket was handed over; "" if it was not."""
    return _("Name erased") if handed_to == Ticket.NOBODY else handed_to


def cell(text: str) -> str:
    """Return a text as a cell of a CSV file: on one line, and changed if a program could read it as a formula.

    In many languages, such as German, spreadsheet programs end a cell at a semicolon, also within quotation marks.
    So each part of the text between semicolons can become a cell.
    """
    line = " ".join(text.split()) if any(each in text for each in "\r\n\t") else text
    return ";".join(f"'{part}" if _is_formula(part) else part for part in line.split(";"))


def _is_formula(text: str) -> bool:
    """Return whether a spreadsheet program can read a text as a formula, also after spaces and quotation marks."""
    return text.lstrip().lstrip(' "').startswith(FORMULA_BEGINS)


class Echo:
    """A file for `csv.writer`. Its `write` returns the text, so that `writerow` returns a line."""

    def write(self, text: str) -> str:
        return text


def csv_lines(tickets: QuerySet[Ticket], *, zone: str) -> Iterator[str]:
    """Yield a CSV file of tickets, line by line. Its byte order mark lets spreadsheet programs read it as UTF-8."""
    writer = csv.writer(Echo())
    yield "\ufeff" + writer.writerow(COLUMNS)
    for row in _all(tickets):
        read = shown(row, zone=zone)
        yield writer.writerow([cell(read[name]) for name in COLUMNS])


def xlsx_file(tickets: QuerySet[Ticket], *, zone: str) -> IO[bytes]:
    """Return a spreadsheet of tickets as a temporary file, which is deleted when it is closed.

    Each cell is a text, so that none is a formula. Each row is written to the disk at once, so that many rows need
    no more memory than one.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  (FileResponse closes it)
    try:
        book = Workbook(file, {"constant_memory": True})
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for number, width in enumerate(WIDTHS):
            sheet.set_column(number, number, width)
        _write_row(sheet, 0, COLUMNS, book.add_format({"bold": True}))
        for line, row in enumerate(_all(tickets), start=1):
            read = shown(row, zone=zone)
            _write_row(sheet, line, [read[name] for name in COLUMNS])
        book.close()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _write_row(sheet: Worksheet, line: int, texts: Sequence[str], look: Format | None = None) -> None:
    for number, text in enumerate(texts):
        sheet.write_string(line, number, text, look)


def _all(tickets: QuerySet[Ticket]) -> Iterator[dict[str, Any]]:
    """Yield all rows, in parts by id. Each part is a query of its own, so that no transaction stays open."""
    last = 0
    while part := list(rows(tickets.filter(pk__gt=last))[:READ_AT_ONCE]):
        yield from part
        last = part[-1]["pk"]
