"""The pages of the journal: who did what, when, the latest first.

What must stay true: a page costs the same, however long the journal is. So each source is read by an index on time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet

from overlord.box_office.journal_sources import SOURCES, Deed, Source
from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.shop import formats
from tickets.models import Event

ON_A_PAGE = 50


@dataclass(frozen=True, kw_only=True)
class JournalFilter:
    """Which deeds a page of the journal shows. A field that is None or "" selects all deeds."""

    event: int | None = None
    order: int | None = None
    person: int | None = None
    action: str = ""


@dataclass(frozen=True)
class Position:
    """The position of a deed in the journal.

    The latest deed is first. Deeds of the same time are ordered by their source, and in a source by descending id.
    """

    at: datetime
    source: int
    pk: int

    def __str__(self) -> str:
        """Return the position as a text for an address (URL)."""
        return f"{self.at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}~{self.source}~{self.pk}"


def position_read(text: str) -> Position | None:
    """Return the position of a text that `str(position)` made; None for any other text."""
    parts = text.split("~")
    try:
        at = datetime.fromisoformat(parts[0])
        source, pk = (whole_number(part, least=0, most=LARGEST_ID) for part in parts[1:])
        return Position(at.astimezone(UTC), source, pk) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, kw_only=True)
class JournalPage:
    """The deeds of a page.

    `events` maps the ids of their events to texts with name and date, because two events can have the same name.
    `older` is the position to pass as `before` to `page` for older deeds; None if there are none.
    """

    deeds: list[Deed]
    older: Position | None
    events: dict[int, str]


def page(*, wanted: JournalFilter, before: Position | None) -> JournalPage:
    """Return a page of the deeds that pass the filter: the latest, or those that follow the position `before`."""
    found: list[tuple[Position, Deed]] = []
    for number, source in enumerate(SOURCES):
        found += _rows(number, source, wanted, before)
    found.sort(key=lambda each: (-each[0].at.timestamp(), each[0].source, -each[0].pk))
    shown = found[:ON_A_PAGE]
    deeds = [deed for _position, deed in shown]
    numbers = {deed.event for deed in deeds if deed.event is not None}
    events = Event.objects.filter(pk__in=numbers)
    names = {each.pk: f"{each.name}, {formats.date_time(each.date, each.time_zone)}" for each in events}
    older = shown[-1][0] if len(found) > ON_A_PAGE else None
    return JournalPage(deeds=deeds, older=older, events=names)


def _rows(
    number: int, source: Source, wanted: JournalFilter, before: Position | None
) -> Iterator[tuple[Position, Deed]]:
    for row in query(number, source, wanted, before):
        yield Position(getattr(row, source.at), number, row.pk), source.deed(row)


def query(number: int, source: Source, wanted: JournalFilter, before: Position | None) -> QuerySet[Any]:
    """Select the latest rows of `source` that pass the filter and follow `before`, one more than fits on a page.

    `number` is the index of the source in SOURCES.
    """
    rows = source.rows()
    numbers = (
        (wanted.event, source.of_event),
        (wanted.order, source.of_order),
        (wanted.person, source.of_person),
    )
    for number_wanted, condition in numbers:
        if number_wanted:
            rows = rows.filter(condition(number_wanted))
    if wanted.action:
        rows = rows.filter(source.of_action(wanted.action))
    if before is not None:
        rows = rows.filter(_older(number, source.at, before))
    return rows.order_by(f"-{source.at}", "-pk")[: ON_A_PAGE + 1]


def _older(number: int, at: str, before: Position) -> Q:
    """Return the condition for the rows of the source with this number that follow a position.

    `at` is the field with the time of a row. PostgreSQL can use an index on this field.
    """
    earlier, until = Q(**{f"{at}__lt": before.at}), Q(**{f"{at}__lte": before.at})
    if number > before.source:
        return until
    return until & (earlier | Q(pk__lt=before.pk)) if number == before.source else earlier


def labels() -> list[tuple[str, str]]:
    """Return pairs of an action and the text that pages show for it, sorted by the text."""
    known: dict[str, Any] = {}
    for source in SOURCES:
        known |= source.labels()
    return sorted(known.items(), key=lambda each: str(each[1]).casefold())
