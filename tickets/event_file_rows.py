"""Read the rows of a file of events, CSV or JSON, with the encodings, separators and headings that programs write.

Nothing here knows what a value means. A row has the text of each cell by column; empty cells are left out.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

# A row of the file: its line, the words to put before a mistake in it, and its values by column.
Row = tuple[int, str, dict[str, str]]
Mistake = tuple[int, str]  # a line, and a sentence

SEPARATORS = (",", ";", "\t")
LARGEST_CELL = 100_000  # characters; the csv module itself refuses cells that are a little longer
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
NOT_TEXT = {
    b"PK\x03\x04": "This is a workbook or an archive, not a text. Save the sheet as CSV (UTF-8) and load it.",
    b"\xd0\xcf\x11\xe0": "This is a workbook, not a text. Save the sheet as CSV (UTF-8) and load it.",
    b"%PDF": "This is a PDF, not a text. Save the table as CSV (UTF-8) and load it.",
}
NOT_UTF8 = "This file is not in UTF-8. Save it as CSV UTF-8, or as JSON in UTF-8."
COUNTERPART = {"name": "event"}  # the name in JSON, and the column that it means


class FileErrors(Exception):
    """The mistakes in a file: sentences, each with its line."""

    def __init__(self, mistakes: list[tuple[int, str]]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"line {line}: {sentence}" for line, sentence in self.mistakes))


def text_of(content: bytes) -> str:
    """Decode a file by its byte order mark, and without one as UTF-8; raise FileErrors."""
    for start, sentence in NOT_TEXT.items():
        if content.startswith(start):
            raise FileErrors([(1, sentence)])
    bom, encoding = next(
        ((bom, encoding) for bom, encoding in BOMS.items() if content.startswith(bom)), (b"", "utf-8")
    )
    try:
        text = content[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: len(bom) + error.start].count(b"\n") + 1
        raise FileErrors([(line, NOT_UTF8)]) from None
    if "\0" in text:
        raise FileErrors([(text.count("\n", 0, text.index("\0")) + 1, NOT_UTF8)])
    return text


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of an event and of a ticket type, and those that a row must have."""

    event: tuple[str, ...]
    ticket_type: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.event, *self.ticket_type)


def rows_of(text: str, *, columns: Columns, mistakes: list[Mistake]) -> Iterator[Row]:
    """Yield the rows of a text in CSV or JSON. Add a mistake for each row that cannot be read.

    Raise FileErrors if the rest of the text cannot be read.
    """
    if text.lstrip()[:1] in ("[", "{"):
        yield from _json_rows(text, columns, mistakes)
    else:
        yield from _csv_rows(text, columns, mistakes)


def _column(heading: str) -> str:
    """Return the column that a heading means: "Ticket Type " is ticket_type."""
    plain = re.sub(r"[\s\-]+", "_", heading.strip().casefold())
    return COUNTERPART.get(plain, plain)


def _wrong_columns(line: int, found: list[str], known: Iterable[str]) -> list[Mistake]:
    """Return a mistake for each column name that occurs twice, and for each that does not exist."""
    doubled = sorted({name for name in found if name and found.count(name) > 1})
    unknown = sorted({name for name in found if name and name not in known})
    mistakes = [(line, f"The column {name} appears more than once.") for name in doubled]
    names = ", ".join(known)
    return [*mistakes, *((line, f"There is no column {name}. The columns are: {names}.") for name in unknown)]


# CSV -----------------------------------------------------------------------------------------------------
def _csv_rows(text: str, columns: Columns, mistakes: list[Mistake]) -> Iterator[Row]:
    separator, text, above = _separator(text)
    reader = csv.reader(StringIO(text, newline=None), delimiter=separator, strict=True)
    headings: list[str] | None = None
    try:
        for cells in reader:
            line = reader.line_num + above
            if not any(cell.strip() for cell in cells):
                continue  # a blank row, as spreadsheets leave them
            if headings is None:
                headings = _headings(line, cells, columns)
            elif (row := _csv_row(line, headings, cells, mistakes)) is not None:
                yield line, "", row
    except csv.Error as error:
        raise FileErrors([(reader.line_num + above, _csv_sentence(error))]) from None
    if headings is None:
        raise FileErrors([(1, "This file is empty.")])


def _csv_sentence(error: csv.Error) -> str:
    if "field larger" in str(error):
        return "A cell is too long. A quotation mark may be missing on this line or above."
    return f"This is not CSV ({error}). Check the quotation marks on this line and above."


def _headings(line: int, cells: list[str], columns: Columns) -> list[str]:
    headings = [_column(cell) for cell in cells]
    mistakes = _wrong_columns(line, headings, columns.all)
    missing = [name for name in columns.required if name not in headings]
    if missing:
        mistakes.append((line, f"The first line must name the columns. Missing: {', '.join(missing)}."))
    if mistakes:
        raise FileErrors(mistakes)
    return headings


def _csv_row(
    line: int, headings: list[str], cells: list[str], mistakes: list[Mistake]
) -> dict[str, str] | None:
    row: dict[str, str] = {}
    nameless = None
    for position, cell in enumerate(cells):
        heading = headings[position] if position < len(headings) else ""
        if cell.strip() and heading:
            row[heading] = cell.strip()
        elif cell.strip():
            nameless = (line, f"Cell {position + 1} ({cell.strip()[:40]!r}) is in a column without a name.")
    if nameless:
        mistakes.append(nameless)
        return None
    return row


def _separator(text: str) -> tuple[str, str, int]:
    """Return the separator of cells, the text without a first line `sep=`, and how many lines were removed."""
    first = re.split(r"\r\n|\r|\n", text, maxsplit=1)
    named = re.fullmatch(r'"?sep=(.)"?', first[0].strip("\ufeff ").rstrip(" "), re.IGNORECASE)
    if named:
        return named[1], first[1] if len(first) > 1 else "", 1
    heading = next((line for line in re.split(r"[\r\n]+", text) if line.strip()), "")
    return max(SEPARATORS, key=heading.count), text, 0


# JSON ----------------------------------------------------------------------------------------------------
class _Doubled(ValueError):
    """A JSON object has the same name twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if _column(name) in found:
            raise _Doubled(f"{name} appears more than once.")
        found[_column(name)] = value
    return found


# Numbers stay as they are written, so that 15.10 does not become 15.1 and a number may have any length.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=str)


def _json_rows(text: str, columns: Columns, mistakes: list[Mistake]) -> Iterator[Row]:
    """Yield a row for each ticket type, as from CSV, with the line on which its event begins."""
    for line, event in _json_items(text):
        types = event.get("ticket_types") if isinstance(event, dict) else None
        if not isinstance(types, list) or not types or not all(isinstance(each, dict) for each in types):
            sentence = "An event is an object with a list of `ticket_types`, each of them an object."
            mistakes.append((line, sentence))
            continue
        own = {name: value for name, value in event.items() if name != "ticket_types"}
        wrong = _wrong_columns(line, list(own), columns.event) + _not_text(line, own)
        for ticket_type in types:
            wrong += _wrong_columns(line, list(ticket_type), columns.ticket_type)
            wrong += _not_text(line, ticket_type)
        mistakes += [(line, _named(own.get("event")) + sentence) for line, sentence in wrong]
        if not wrong:
            for ticket_type in types:
                about = _named(own.get("event"), ticket_type.get("ticket_type"))
                yield line, about, _texts({**own, **ticket_type})


def _named(*names: Any) -> str:
    """Return the names of an event and its ticket type, to put before a mistake. One line may have many events."""
    known = [name[:40] for name in names if isinstance(name, str) and name.strip()]
    return f"{', '.join(known)}: " if known else ""


def _not_text(line: int, values: dict[str, Any]) -> list[Mistake]:
    wrong = [name for name, value in values.items() if value is not None and not isinstance(value, str)]
    return [(line, f"{name} must be a text or a number.") for name in wrong]


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value is not None and value.strip()}


def _json_items(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list with the line on which each begins."""
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise FileErrors([(1, "The file must be a JSON list of events: [ {...}, {...} ].")])
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line = _line(text, at)
        try:
            item, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise FileErrors([(error.lineno, f"This is not JSON: {error.msg}.")]) from None
        except _Doubled as error:
            raise FileErrors([(line, str(error))]) from None
        except RecursionError:
            raise FileErrors([(line, "This file is nested too deeply.")]) from None
        yield line, item
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise FileErrors([(_line(text, at), "A comma or ] is missing after an event.")])
    if (after := _skip(text, at + 1)) < len(text):
        raise FileErrors([(_line(text, after), "There is text after the end of the list.")])


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
