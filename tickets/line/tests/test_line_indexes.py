"""The indexes of entries: none has places, which the draw writes; each read uses one; each guard is one."""

import json
from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from overlord.kernel import db
from tests.functions import function_replaced
from tickets.line import figures, operations, selectors, services, sql
from tickets.line.models import DrawnPart, Entry, Line
from tickets.line.tests.lines import HOLD, enter, line_make, open_sale, people
from tickets.models import TicketType

pytestmark = pytest.mark.django_db(transaction=True)

# An index that has the place of an entry, in a column or in its condition.
OF_PLACES = """
SELECT i.indexrelid::regclass::text AS name
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'place'
 WHERE i.indrelid = 'line_entry'::regclass
   AND (a.attnum = ANY (i.indkey) OR EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
           AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))
"""
# The queries that PostgreSQL makes itself before it deletes a user or a line.
STILL_USED = [
    "SELECT 1 FROM ONLY line_entry x WHERE buyer_id = 1 FOR KEY SHARE OF x",
    "SELECT 1 FROM ONLY line_entry x WHERE line_id = 1 FOR KEY SHARE OF x",
]

# The number of entries that this session has read in the open transaction or shortly before it.
READ = """
SELECT COALESCE(idx_tup_fetch, 0) + COALESCE(seq_tup_read, 0) AS entries
  FROM pg_stat_xact_user_tables WHERE relid = 'line_entry'::regclass
"""
MANY = """
INSERT INTO line_entry (line_id, buyer_id, number, state, choices, entered_at)
SELECT %(event)s, buyer, %(first)s + nth, 'waiting', '[]', now()
  FROM unnest(%(buyers)s::bigint[]) WITH ORDINALITY AS made (buyer, nth)
"""


@pytest.fixture
def drawn(ticket_type_make: Callable[..., TicketType]) -> list[Entry]:
    """Return three entries of a line that was drawn, by place."""
    [ticket_type] = line_make(ticket_type_make, 2)
    for buyer_id in people(3):
        enter(ticket_type, buyer_id)
    open_sale([ticket_type])
    services.draw(event_id=ticket_type.event_id)
    return list(Entry.objects.order_by("place"))


def of_places() -> set[str]:
    return {row["name"] for row in db.rows(OF_PLACES)}


def test_no_index_has_places_so_the_draw_writes_none() -> None:
    assert of_places() == set()


@pytest.mark.parametrize("columns", ["(place)", "(number) WHERE place IS NULL", "((place + 1))"])
def test_an_index_of_places_would_be_noticed(columns: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX added ON line_entry {columns}")
        try:
            assert of_places() == {"added"}
        finally:
            cursor.execute("DROP INDEX added")


def test_a_constraint_of_places_would_be_noticed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE line_entry ADD CONSTRAINT added UNIQUE (line_id, place)")
        try:
            assert of_places() == {"added"}
        finally:
            cursor.execute("ALTER TABLE line_entry DROP CONSTRAINT added")


def reads(entry: Entry) -> list[str]:
    """Return the statements that read entries when a line is served or looked at."""
    asked = {"event_id": entry.line_id, "buyer_id": entry.buyer_id}
    [account] = people(1)
    with CaptureQueriesContext(connection) as context:
        services.entry_get(**asked, now=timezone.now())
        services.entries_follow(guest_id=entry.buyer_id, buyer_id=account)
        with db.transaction():
            operations.entry_follow(order_id=1, guest_id=entry.buyer_id, buyer_id=account)
        selectors.is_worth_serving(event_id=entry.line_id)
        selectors.types_wished(event_id=entry.line_id, served=0)
        selectors.proof(event_id=entry.line_id)
        selectors.entries_to_pass_on(now=timezone.now(), most=100)
        figures.line_figures(event_id=entry.line_id, now=timezone.now())
        services.serve(event_id=entry.line_id, hold=HOLD, now=timezone.now())
    captured = [query["sql"] for query in context.captured_queries]
    return [*STILL_USED, *(sql for sql in captured if "line_entry" in sql)]


def whole_table(statements: list[str]) -> list[str]:
    """Return the plans that read all entries of all lines, although PostgreSQL is set to avoid this if it can."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            plans = []
            for sql in statements:
                cursor.execute(f"EXPLAIN {sql}")
                plans.append("\n".join([sql, *(row for (row,) in cursor.fetchall())]))
        finally:
            cursor.execute("RESET enable_seqscan")
    return [plan for plan in plans if "Seq Scan on line_entry" in plan]


def test_each_read_uses_an_index(drawn: list[Entry]) -> None:
    statements = reads(drawn[0])

    assert len(statements) > 10
    assert whole_table(statements) == []


@pytest.mark.parametrize("index", ["entry_waits_once", "entry_one_per_number"])
def test_a_read_without_its_index_would_be_noticed(index: str, drawn: list[Entry]) -> None:
    statements = reads(drawn[0])
    drop = (
        f"DROP INDEX {index}"
        if index == "entry_waits_once"
        else f"ALTER TABLE line_entry DROP CONSTRAINT {index}"
    )
    with pytest.raises(Gone), db.transaction():
        with connection.cursor() as cursor:
            cursor.execute(drop)
        assert whole_table(statements)
        raise Gone


class Gone(Exception):
    """The error that rolls back a transaction that dropped an index."""


class TestLongLine:
    """A line that has grown since PostgreSQL made its plans and statistics."""

    LONG = 1000

    @pytest.fixture(autouse=True)
    def _statistics(self) -> Iterator[None]:
        """Let PostgreSQL make no statistics of its own at a moment that nobody knows."""
        db.rows("ALTER TABLE line_entry SET (autovacuum_enabled = false)")
        yield
        db.rows("ALTER TABLE line_entry RESET (autovacuum_enabled)")

    def _lengthen(self, event_id: int) -> int:
        """Let many more people enter a line; return one of the first."""
        entered, others = Line.objects.get(pk=event_id).entered, people(self.LONG)
        db.rows(MANY, {"event": event_id, "first": entered, "buyers": others})
        Line.objects.filter(pk=event_id).update(entered=entered + self.LONG)
        return others[0]

    def _read_to_enter(self, make: Callable[..., TicketType]) -> int:
        """Return how many entries are read when one more buyer enters a line that became long."""
        [earlier] = line_make(make, 1)
        enter(earlier, people(1)[0])
        db.rows("ANALYZE line_entry")
        [ticket_type] = line_make(make, 1)
        for buyer_id in people(10):
            enter(ticket_type, buyer_id)  # PostgreSQL keeps the plans that it makes now
        self._lengthen(ticket_type.event_id)
        [last] = people(1)
        wish = json.dumps([[(ticket_type.pk, 1)]])
        asked = {"event": ticket_type.event_id, "buyer": last, "choices": wish}
        return _entries_read(lambda: db.rows(sql.ENTER, asked))

    def test_a_buyer_enters_without_a_read_of_the_others(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        assert self._read_to_enter(ticket_type_make) < 10

    def test_control_the_former_function_reads_all_entries(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        migration = import_module("tickets.line.migrations.0018_entering_by_the_index_of_buyers")
        with function_replaced("line_enter", migration.FORMER_LINE_ENTER):
            assert self._read_to_enter(ticket_type_make) >= self.LONG

    def test_a_buyer_looks_without_a_read_of_the_others(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        [earlier] = line_make(ticket_type_make, 1)
        self._lengthen(earlier.event_id)
        db.rows("ANALYZE line_entry")
        [ticket_type] = line_make(ticket_type_make, 1)
        asked = {"event_id": ticket_type.event_id, "buyer_id": self._lengthen(ticket_type.event_id)}
        own = Entry.objects.filter(line_id=asked["event_id"], buyer_id=asked["buyer_id"])

        assert _entries_read(lambda: selectors.entry_of(**asked, now=timezone.now())) < 10
        assert _entries_read(lambda: own.order_by("-number").first()) == self.LONG, "the control"


def _entries_read(work: Callable[[], object]) -> int:
    """Return how many entries PostgreSQL reads for the work."""
    with db.transaction():
        [before] = db.rows(READ)
        work()
        [after] = db.rows(READ)
    return int(after["entries"] - before["entries"])


class TestGuards:
    def another(self, entry: Entry, **fields: object) -> Entry:
        """Insert an entry like this one, except for some fields."""
        return Entry.objects.create(
            **{
                "line_id": entry.line_id,
                "buyer_id": entry.buyer_id,
                "number": 9,
                "place": 9,
                "state": "waiting",
                "choices": entry.choices,
                "entered_at": entry.entered_at,
                **fields,
            }
        )

    def test_nobody_waits_twice_in_a_line(self, drawn: list[Entry]) -> None:
        with pytest.raises(IntegrityError, match="entry_waits_once"):
            self.another(drawn[0])

    def test_a_person_who_no_longer_waits_may_enter_again_and_enter_another_line(
        self, drawn: list[Entry], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        for number, state in ((7, "passed"), (8, "passed")):
            self.another(drawn[0], number=number, place=number, state=state)
        [elsewhere] = line_make(ticket_type_make, 1)
        self.another(drawn[0], line_id=elsewhere.event_id)

        assert Entry.objects.filter(buyer_id=drawn[0].buyer_id).count() == 4

    def test_no_number_exists_twice(self, drawn: list[Entry]) -> None:
        [buyer_id] = people(1)
        with pytest.raises(IntegrityError, match="entry_one_per_number"):
            self.another(drawn[0], buyer_id=buyer_id, number=1)

    def test_no_order_of_places_exists_twice(self, drawn: list[Entry]) -> None:
        for _ in range(2):
            services.serve(event_id=drawn[0].line_id, hold=HOLD, now=timezone.now())
        part = DrawnPart.objects.get()
        assert part.entries == [entry.pk for entry in drawn]
        with pytest.raises(IntegrityError, match="drawn_part_one_per_place"):
            DrawnPart.objects.create(line_id=part.line_id, last_place=part.last_place, entries=[])
