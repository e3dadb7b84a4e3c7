"""Files of events (CSV or JSON): read whole, checked whole, every mistake named with its line.

CSV has a row per ticket type; rows with the same event and date belong together. JSON is a list of events, each
with its `ticket_types`. `docs/events-file.md` describes both.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from overlord.kernel import money, time_zones
from tickets.rules import LARGEST_AMOUNT

EVENT_COLUMNS = ("event", "date", "time_zone", "currency", "description")
TYPE_COLUMNS = ("ticket_type", "price", "amount", "max_per_user", "opens_at", "closes_at")
REQUIRED = ("event", "date", "ticket_type", "price", "amount")


class FileErrors(Exception):
    """What is wrong with a file: sentences, each with its line."""

    def __init__(self, mistakes: list[tuple[int, str]]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"line {line}: {sentence}" for line, sentence in self.mistakes))


@dataclass(frozen=True, kw_only=True)
class TypeToLoad:
    line: int
    name: str
    price_minor: int
    capacity: int
    max_per_user: int
    opens_at: datetime | None
    closes_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class EventToLoad:
    line: int
    name: str
    date: datetime
    time_zone: str
    currency: str
    description: str
    types: list[TypeToLoad] = field(default_factory=list)


def read(text: str, *, is_json: bool) -> list[EventToLoad]:
    """Read the events of a file; raise FileErrors with all its mistakes."""
    mistakes: list[tuple[int, str]] = []
    events: dict[tuple[str, datetime], EventToLoad] = {}
    zones: dict[tuple[str, str], str] = {}
    for line, row in _json_rows(text, mistakes) if is_json else _csv_rows(text):
        _take(line, row, events, zones, mistakes)
    if not events and not mistakes:
        mistakes.append((1, "There is no event in this file."))
    if mistakes:
        raise FileErrors(mistakes)
    return list(events.values())


def _take(
    line: int,
    row: Mapping[str, Any],
    events: dict[tuple[str, datetime], EventToLoad],
    zones: dict[tuple[str, str], str],
    mistakes: list[tuple[int, str]],
) -> None:
    """Add the ticket type of a row to its event, or the row's mistakes to the mistakes."""
    cells = _Cells(line, row, mistakes)
    name = cells.text("event", most=200)
    # A later row of the same event may leave the zone out, as it may the description.
    zone = cells.time_zone("time_zone") or zones.get((name, str(row.get("date"))), "")
    zones.setdefault((name, str(row.get("date"))), zone)
    date = cells.instant("date", zone=zone)
    currency, description = cells.currency("currency"), cells.text("description", most=10_000)
    ticket_type = TypeToLoad(
        line=line,
        name=cells.text("ticket_type", most=60),
        price_minor=cells.price("price", currency),
        capacity=cells.count("amount", least=0),
        max_per_user=cells.count("max_per_user", least=1, default=10),
        opens_at=cells.instant("opens_at", zone=zone),
        closes_at=cells.instant("closes_at", zone=zone),
    )
    if cells.wrong or date is None:
        return
    event = events.setdefault(
        (name, date),
        EventToLoad(
            line=line,
            name=name,
            date=date,
            time_zone=zone or time_zones.of_offset(date, otherwise=settings.TIME_ZONE),
            currency=currency,
            description=description,
        ),
    )
    if zone and event.time_zone != zone:
        mistakes.append((line, f"{name} has another time zone on line {event.line}."))
    if event.currency != currency:
        mistakes.append((line, f"{name} has another currency on line {event.line}."))
    if any(other.name == ticket_type.name for other in event.types):
        mistakes.append((line, f"{name} has a ticket type {ticket_type.name} already."))
    event.types.append(ticket_type)


class _Cells:
    """One row's values, each read as what it must be; what is not goes to the mistakes."""

    def __init__(self, line: int, row: Mapping[str, Any], mistakes: list[tuple[int, str]]) -> None:
        self.wrong = False
        self._line, self._row, self._mistakes = line, row, mistakes
        unknown = [str(name) for name in row if name not in (*EVENT_COLUMNS, *TYPE_COLUMNS)]
        if unknown:
            self._refuse(f"unknown column {', '.join(unknown)}")

    def _refuse(self, sentence: str) -> None:
        self.wrong = True
        self._mistakes.append((self._line, sentence))

    def _read(self, name: str, convert: Callable[[str], Any], default: Any) -> Any:
        given = self._row.get(name)
        text = "" if given is None else str(given).strip()
        if not text:
            if name in REQUIRED:
                self._refuse(f"{name} is missing")
            return default
        try:
            return convert(text)
        except (ValueError, OverflowError) as error:
            self._refuse(f"{name}: {error}")
            return default

    def text(self, name: str, *, most: int) -> str:
        def convert(text: str) -> str:
            if len(text) > most or "\x00" in text:
                raise ValueError(f"at most {most} characters, please")
            return text

        return str(self._read(name, convert, ""))

    def time_zone(self, name: str) -> str:
        def convert(text: str) -> str:
            if not time_zones.is_time_zone(text):
                raise ValueError(f"{text} is not the IANA name of a time zone, such as Europe/Berlin")
            return text

        return str(self._read(name, convert, ""))

    def instant(self, name: str, *, zone: str) -> datetime | None:
        """Read an instant; without an offset from UTC it is a time in `zone`, or in the installation's."""

        def convert(text: str) -> datetime:
            instant = datetime.fromisoformat(text)
            return instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(zone or settings.TIME_ZONE))

        found: datetime | None = self._read(name, convert, None)
        return found

    def currency(self, name: str) -> str:
        def convert(text: str) -> str:
            if not money.is_currency(text.upper()):
                raise ValueError(f"{text} is no ISO 4217 currency")
            return text.upper()

        return str(self._read(name, convert, "EUR"))

    def price(self, name: str, currency: str) -> int:
        return int(self._read(name, lambda text: money.to_minor(text, currency), 0))

    def count(self, name: str, *, least: int, default: int = 0) -> int:
        def convert(text: str) -> int:
            number = int(text) if text.isascii() and text.isdecimal() else -1
            if not least <= number <= LARGEST_AMOUNT:
                raise ValueError(f"{text} is no whole number from {least} to {LARGEST_AMOUNT}")
            return number

        return int(self._read(name, convert, default))


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(StringIO(text.removeprefix("\ufeff")), restkey="(beyond the last column)")
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise FileErrors([(1, f"The first line must name the columns; missing: {', '.join(missing)}.")])
    for row in reader:
        yield reader.line_num, row


def _json_rows(text: str, mistakes: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a row for each ticket type, as a CSV has it, with the line on which its event begins."""
    for line, event in _json_items(text):
        types = event.get("ticket_types") if isinstance(event, dict) else None
        if not isinstance(types, list) or not types or not all(isinstance(each, dict) for each in types):
            mistakes.append((line, "An event is an object with a list of `ticket_types`."))
            continue
        own = {("event" if name == "name" else name): value for name, value in event.items()}
        del own["ticket_types"]
        for ticket_type in types:
            yield line, {**own, **ticket_type}


def _json_items(text: str) -> Iterator[tuple[int, Any]]:
    """Decode a list item by item; yield each with the line on which it begins."""
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise FileErrors([(1, "The file must be a JSON list of events.")])
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line = text.count("\n", 0, at) + 1
        try:
            item, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            wrong = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise FileErrors([(wrong, f"This is not JSON: {error}")]) from None
        yield line, item
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise FileErrors([(text.count("\n", 0, at) + 1, "Expected `,` or `]` after an event.")])


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n") and at < len(text):
        at += 1
    return at
