"""The giver: an error in one line stops no other line, one clock decides, and it reads rows under its locks."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.utils import timezone

from overlord.kernel import db, runs
from tests.threads import together
from tickets import event_operations
from tickets import operations as tickets_operations
from tickets import sql as tickets_sql
from tickets.line import operations, services, tasks
from tickets.line.models import Entry, Line
from tickets.line.rules import LineClosed
from tickets.line.tests.lines import HOLD, check, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return the types of two events. Two people wait for each when the sales open."""
    made = [line_make(ticket_type_make, 2)[0] for _ in range(2)]
    for ticket_type in made:
        for buyer_id in people(2):
            enter(ticket_type, buyer_id)
    open_sale(made)
    return made


class TestErrors:
    @pytest.fixture
    def broken(self, lines: list[TicketType]) -> TicketType:
        """Return the type of the first line, in which one wish cannot be read."""
        services.draw(event_id=lines[0].event_id)
        Entry.objects.filter(line_id=lines[0].event_id).update(choices=5)
        return lines[0]

    def test_an_error_in_one_line_is_logged_and_the_lines_behind_it_go_on(
        self, lines: list[TicketType], broken: TicketType, caplog: pytest.LogCaptureFixture
    ) -> None:
        serve_all(broken)

        assert [states(each.event_id) for each in lines] == [["waiting"] * 2, ["given"] * 2]
        assert f"serving the line of event {broken.event_id}" in caplog.text
        assert "TypeError" in caplog.text

    def test_control_without_the_guard_an_error_ends_the_run(
        self, lines: list[TicketType], broken: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "errors_logged", lambda *_: nullcontext())
        with pytest.raises(TypeError):
            serve_all(broken)
        assert states(lines[1].event_id) == ["waiting"] * 2

    def test_an_entry_that_cannot_lapse_stops_neither_others_nor_the_lines(
        self, lines: list[TicketType], caplog: pytest.LogCaptureFixture
    ) -> None:
        serve_all(lines[0])
        due = Entry.objects.filter(state="given").order_by("pk")
        due.update(look_by=timezone.now())
        first = due[0]
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE line_entry ADD CONSTRAINT one_stays"
                f" CHECK (id <> {first.pk} OR state = 'given') NOT VALID"
            )
        try:
            serve_all(lines[0])
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE line_entry DROP CONSTRAINT one_stays")

        assert sorted(Entry.objects.values_list("state", flat=True)) == [
            "given",
            "passed",
            "passed",
            "passed",
        ]
        assert Reservation.objects.get(state="held").pk == first.order_id
        assert f"ending what was given to entry {first.pk}" in caplog.text
        for ticket_type in lines:
            check(ticket_type.event_id)


class TestClock:
    def test_a_run_goes_by_the_clock_of_postgresql(
        self, lines: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Let the clock of the process be an hour slow, so that the sales are not open by it."""
        right = timezone.now
        monkeypatch.setattr(timezone, "now", lambda: right() - timedelta(hours=1))
        monkeypatch.setattr(runs, "RUN_SECONDS", 0.1)
        before = db.now()
        tasks.serve()
        after = db.now()

        assert [states(each.event_id) for each in lines] == [["given"] * 2] * 2
        assert all(before <= each.turn_at <= after for each in Entry.objects.all() if each.turn_at)
        assert all(before <= each.moved_at <= after for each in Line.objects.all() if each.moved_at)


# The former function read whether a type is hidden in the statement that waits for the lock.
FORMER_LOCK = """
SELECT i.ticket_type_id AS ticket_type, i.line_first, t.max_per_user,
       CASE WHEN t.hidden OR i.paused OR i.opens_at > clock_timestamp() OR i.closes_at <= clock_timestamp() THEN 0
            ELSE i.capacity - i.held - i.sold END AS tickets
  FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE t.event_id = %(event)s
 ORDER BY i.ticket_type_id FOR NO KEY UPDATE OF i
"""


class TestHiding:
    """Staff hide a type while the giver waits for its inventory."""

    def _race(self, ticket_type: TicketType) -> None:
        services.draw(event_id=ticket_type.event_id)
        is_hidden = threading.Event()

        def hide() -> None:
            with db.transaction():
                tickets_operations.inventories_lock(event_id=ticket_type.event_id)
                TicketType.objects.filter(pk=ticket_type.pk).update(hidden=True)
                is_hidden.set()
                waiting_for_a_lock(1)

        def give() -> None:
            assert is_hidden.wait(timeout=60)
            services.serve(event_id=ticket_type.event_id, hold=HOLD, now=timezone.now())

        assert together(hide, give) == [None, None]

    def test_nobody_is_given_a_type_that_was_hidden_meanwhile(self, lines: list[TicketType]) -> None:
        self._race(lines[0])
        assert states(lines[0].event_id) == ["waiting"] * 2
        assert not Reservation.objects.exists()

    def test_control_with_the_former_lock_a_hidden_type_is_given(
        self, lines: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tickets_sql, "INVENTORIES_LOCK", FORMER_LOCK)
        self._race(lines[0])
        assert states(lines[0].event_id) == ["given"] * 2


class TestDeleting:
    """Staff delete an event whose line gives its first tickets at this moment."""

    def _race(self, ticket_type: TicketType) -> list[object]:
        event_id, has_the_line = ticket_type.event_id, threading.Event()
        services.draw(event_id=event_id)

        def give() -> int:
            with db.transaction():
                line = operations.line_lock(event_id=event_id)
                assert line is not None
                has_the_line.set()
                waiting_for_a_lock(1)
                return operations.line_serve(line=line, most=10, hold=HOLD, now=timezone.now())

        def delete() -> None:
            assert has_the_line.wait(timeout=60)
            with db.transaction():
                event_operations.event_delete(event=ticket_type.event, now=timezone.now())

        return together(give, delete)

    def test_a_deletion_waits_for_the_line_and_finds_what_it_gave(self, lines: list[TicketType]) -> None:
        given, refused = self._race(lines[0])

        assert (given, type(refused)) == (2, ProtectedError)
        assert states(lines[0].event_id) == ["given"] * 2

    def test_control_without_the_lock_of_the_line_they_deadlock(
        self, lines: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tickets_operations, "deletion_locks", [])

        assert any("deadlock" in str(result) for result in self._race(lines[0]))

    def test_an_event_whose_line_gave_nothing_is_deleted_with_it(self, lines: list[TicketType]) -> None:
        with db.transaction():
            event_operations.event_delete(event=lines[0].event, now=timezone.now())

        assert not Line.objects.filter(pk=lines[0].event_id).exists()


class TestLobby:
    """Staff delete an event, or let it open directly, while its lobby opens."""

    @pytest.fixture
    def due(self, ticket_type_make: Callable[..., TicketType]) -> TicketType:
        """Return the type of an event whose lobby should be open, but is not yet."""
        made = ticket_type_make(capacity=2, opens_at=timezone.now() + timedelta(minutes=10))
        with db.transaction():
            _opening_change(made.event, opening="draw")
        return made

    def _race(self, change: Callable[[], None]) -> list[object]:
        """Let the worker open lobbies behind a change that is not committed yet."""
        is_changed = threading.Event()

        def edit() -> None:
            with db.transaction():
                change()
                is_changed.set()
                waiting_for_a_lock(1)

        def tick() -> None:
            assert is_changed.wait(timeout=60)
            services.time_passed(hold=HOLD, now=timezone.now())

        return together(edit, tick)

    def _delete(self, due: TicketType) -> Callable[[], None]:
        return lambda: event_operations.event_delete(event=due.event, now=timezone.now())

    def _open_directly(self, due: TicketType) -> Callable[[], None]:
        return lambda: _opening_change(due.event, opening="direct")

    def test_a_deleted_event_gets_no_lobby_and_nothing_is_logged(
        self, due: TicketType, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self._race(self._delete(due)) == [None, None]
        assert (Line.objects.count(), Event.objects.count()) == (0, 0)
        assert "opening the lobby" not in caplog.text

    def test_control_without_the_lock_of_the_event_an_error_is_logged(
        self, due: TicketType, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "event_lock", lambda **_: True)

        assert self._race(self._delete(due)) == [None, None]
        assert f"opening the lobby of event {due.event_id}" in caplog.text

    def test_a_visitor_who_enters_at_this_moment_is_refused(self, due: TicketType) -> None:
        [buyer_id] = people(1)
        is_deleted = threading.Event()

        def delete() -> None:
            with db.transaction():
                self._delete(due)()
                is_deleted.set()
                waiting_for_a_lock(1)

        def come() -> None:
            assert is_deleted.wait(timeout=60)
            enter(due, buyer_id)

        deleted, refused = together(delete, come)
        assert (deleted, type(refused)) == (None, LineClosed)

    def test_an_event_that_opens_directly_meanwhile_gets_no_lobby(self, due: TicketType) -> None:
        assert self._race(self._open_directly(due)) == [None, None]
        assert not Line.objects.exists()
        assert not Inventory.objects.get(pk=due.pk).line_first

    def test_control_without_the_lock_of_the_event_its_tickets_wait_for_a_line(
        self, due: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "event_lock", lambda **_: True)

        assert self._race(self._open_directly(due)) == [None, None]
        assert Inventory.objects.get(pk=due.pk).line_first

    def test_a_deletion_waits_for_the_lobby_and_deletes_the_line(
        self, due: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin, is_opening = operations.line_begin, threading.Event()

        def begin_slowly(**given: Any) -> None:
            begin(**given)
            is_opening.set()
            waiting_for_a_lock(1)

        def delete() -> None:
            assert is_opening.wait(timeout=60)
            with db.transaction():
                self._delete(due)()

        monkeypatch.setattr(operations, "line_begin", begin_slowly)
        lobby = partial(services.lobby_open, event_id=due.event_id, now=timezone.now())
        assert together(lobby, delete) == [None, None]
        assert (Line.objects.count(), Event.objects.count()) == (0, 0)


def _opening_change(event: Event, *, opening: str) -> None:
    """Change how an event opens, as an edit by staff does."""
    event_operations.event_lock(event_id=event.pk)
    Event.objects.filter(pk=event.pk).update(opening=opening)
    event.opening = opening
    event_operations.opening_set(event=event)
