"""Read a file of events, CSV or JSON, and check all of it. Each mistake is reported with its line.

A row is a ticket type. Rows with the same event and date belong to the same event. docs/events-file.md describes
both formats.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from overlord.kernel import money, texts, time_zones
from overlord.kernel.numbers import whole_number
from tickets import event_rules, rules
from tickets.event_file_rows import LARGEST_CELL, Columns, FileErrors, rows_of, text_of

__all__ = ["EventToLoad", "FileErrors", "TypeToLoad", "read"]

COLUMNS = Columns(
    event=("event", "date", "time_zone", "currency", "description", "buyers"),
    ticket_type=("ticket_type", "price", "amount", "max_per_user", "opens_at", "closes_at"),
    required=("event", "date", "ticket_type", "price", "amount"),
)


@dataclass(frozen=True, kw_only=True)
class TypeToLoad:
    line: int
    name: str
    price_minor: int
    capacity: int
    max_per_user: int
    opens_at: datetime | None
    closes_at: datetime | None  # None means when the event begins


@dataclass(frozen=True, kw_only=True)
class EventToLoad:
    line: int
    name: str
    date: datetime
    time_zone: str
    currency: str
    description: str
    buyers: str = rules.Buyers.ANYONE.value
    types: list[TypeToLoad] = field(default_factory=list)


def read(content: bytes) -> list[EventToLoad]:
    """Return the events of a file; raise FileErrors with all its mistakes."""
    reading = _Reading()
    for line, about, row in rows_of(text_of(content), columns=COLUMNS, mistakes=reading.mistakes):
        reading.take(line, about, row)
    if not reading.events and not reading.mistakes:
        reading.mistakes.append((1, "There is no event in this file."))
    if reading.mistakes:
        raise FileErrors(reading.mistakes)
    return list(reading.events.values())


class _Reading:
    """The events and the mistakes that were read so far."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, datetime], EventToLoad] = {}
        self.mistakes: list[tuple[int, str]] = []
        # By an event's name and date as written: `_zones` has its time zone, `_dates` its first line and its date.
        self._zones: dict[tuple[str, str], str] = {}
        self._dates: dict[tuple[str, str], tuple[int, datetime]] = {}

    def take(self, line: int, about: str, row: Mapping[str, str]) -> None:
        """Add the ticket type of a row to its event, or add the row's mistakes to the mistakes."""
        cells = _Cells(line, about, row, self.mistakes)
        name = cells.line("event", most=rules.NAME_LENGTH)
        written = (name, _plain(row.get("date", "")))
        # A later row of the same event may leave out the time zone.
        zone = cells.time_zone("time_zone") or self._zones.get(written, "")
        self._zones.setdefault(written, zone)
        date = cells.instant("date", zone=zone)
        currency, description = cells.currency("currency"), cells.paragraphs("description")
        buyers = cells.buyers("buyers")
        ticket_type = _ticket_type(line, cells, currency=currency, zone=zone)
        if cells.wrong or date is None:
            return
        first_line, first_date = self._dates.setdefault(written, (line, date))
        if date != first_date:
            cells.refuse(f"{name} has another time zone on line {first_line}.")
            return
        event = self.events.setdefault(
            (name, date),
            EventToLoad(
                line=line,
                name=name,
                date=date,
                time_zone=zone or time_zones.of_offset(date, otherwise=settings.TIME_ZONE),
                currency=currency,
                description=description,
                buyers=buyers,
            ),
        )
        if zone and event.time_zone != zone:
            cells.refuse(f"{name} has another time zone on line {event.line}.")
        if event.currency != currency:
            cells.refuse(f"{name} has another currency on line {event.line}.")
        if any(texts.name_key(other.name) == texts.name_key(ticket_type.name) for other in event.types):
            cells.refuse(f"{name} already has a ticket type {ticket_type.name}.")
        try:
            event_rules.check_sale_times(
                opens_at=ticket_type.opens_at, closes_at=ticket_type.closes_at or date
            )
        except ValueError as error:
            cells.refuse(f"opens_at: {error}")
        event.types.append(ticket_type)


def _plain(date: str) -> str:
    """Return a date in one form, so that 2030-05-01 19:30 is equal to 2030-05-01T19:30. Any other text stays."""
    try:
        return datetime.fromisoformat(date).isoformat()
    except ValueError:
        return date


def _ticket_type(line: int, cells: "_Cells", *, currency: str, zone: str) -> TypeToLoad:
    return TypeToLoad(
        line=line,
        name=cells.line("ticket_type", most=rules.TYPE_NAME_LENGTH),
        price_minor=cells.price("price", currency),
        capacity=cells.count("amount", least=0),
        max_per_user=cells.count("max_per_user", least=1, default=10),
        opens_at=cells.instant("opens_at", zone=zone),
        closes_at=cells.instant("closes_at", zone=zone),
    )


class _Cells:
    """The values of one row, each converted to its type.

    If a value cannot be converted, its method adds a mistake and returns a default.
    """

    def __init__(
        self, line: int, about: str, row: Mapping[str, str], mistakes: list[tuple[int, str]]
    ) -> None:
        self.wrong = False
        self._line, self._about, self._row, self._mistakes = line, about, row, mistakes

    def refuse(self, sentence: str) -> None:
        """Add a mistake of this row."""
        self.wrong = True
        self._mistakes.append((self._line, self._about + sentence))

    def _read(self, name: str, convert: Callable[[str], Any], default: Any) -> Any:
        text = self._row.get(name, "")
        if not text:
            if name in COLUMNS.required:
                self.refuse(f"{name} is missing.")
            return default
        try:
            if len(text) > LARGEST_CELL:
                raise ValueError(f"This text has {len(text)} characters. The maximum is {LARGEST_CELL}.")  # noqa: TRY301
            return convert(text)
        except (ValueError, OverflowError) as error:
            self.refuse(f"{name}: {error}")
            return default

    def line(self, name: str, *, most: int) -> str:
        """Return the text of a cell on one line."""
        return str(self._read(name, lambda text: texts.one_line(text, most=most), ""))

    def paragraphs(self, name: str) -> str:
        """Return the text of a cell, which may have several lines."""
        return str(self._read(name, lambda text: texts.paragraphs(text, most=rules.DESCRIPTION_LENGTH), ""))

    def time_zone(self, name: str) -> str:
        """Return the IANA name of a time zone, or an empty text."""

        def convert(text: str) -> str:
            if not time_zones.is_time_zone(text):
                raise ValueError(f"{text[:40]!r} is not the IANA name of a time zone, such as Europe/Berlin.")
            return text

        return str(self._read(name, convert, ""))

    def buyers(self, name: str) -> str:
        """Return who may buy, a value of `rules.Buyers`."""

        def convert(text: str) -> str:
            if text not in list(rules.Buyers):
                raise ValueError(f"{text[:40]!r} is not possible here. Write anyone or accounts.")
            return text

        return str(self._read(name, convert, rules.Buyers.ANYONE.value))

    def instant(self, name: str, *, zone: str) -> datetime | None:
        """Return an instant, or None. Without an offset from UTC it is a time in `zone`, or in the default zone."""

        def convert(text: str) -> datetime:
            try:
                instant = datetime.fromisoformat(text)
            except ValueError:
                sentence = f"{text[:40]!r} is not a date and time such as 2030-05-01 19:30."
                raise ValueError(sentence) from None
            if instant.tzinfo is None:
                instant = instant.replace(tzinfo=ZoneInfo(zone or settings.TIME_ZONE))
                if time_zones.is_skipped(instant):
                    sentence = (
                        f"{text[:40]!r} does not exist in {instant.tzinfo}, because the clocks go forward in that"
                        " night. Write a time before or after that hour."
                    )
                    raise ValueError(sentence)
                # In UTC, because a time that comes twice (when clocks go back) is for Python not equal to any
                # time in another zone.
                instant = instant.astimezone(UTC)
            rules.check_instant(instant)
            return instant

        found: datetime | None = self._read(name, convert, None)
        return found

    def currency(self, name: str) -> str:
        """Return a currency code in capitals."""

        def convert(text: str) -> str:
            if not money.is_currency(text.upper()):
                raise ValueError(f"{text[:40]!r} is not a currency code of ISO 4217, such as EUR.")
            return text.upper()

        return str(self._read(name, convert, "EUR"))

    def price(self, name: str, currency: str) -> int:
        """Return a price in minor units."""
        return int(self._read(name, lambda text: money.to_minor(text, currency), 0))

    def count(self, name: str, *, least: int, default: int = 0) -> int:
        """Return a whole number of at least `least`."""
        return int(
            self._read(name, lambda text: whole_number(text, least=least, most=rules.LARGEST_AMOUNT), default)
        )
