"""I1 and I10 hold after any use cases of a line in any order.

By default a few runs, always the same. `bin/test tickets/line/tests/test_machine.py --machine 1000x60` makes 1,000
runs of 60 steps, different ones each time. The controls remove a guard, and the machine's readings notice it.
"""

from threading import Event as Signal
from threading import current_thread
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.threads import together
from tickets import sql
from tickets.line import operations, rules, selectors
from tickets.line.models import Entry, Line
from tickets.line.tests.machine import Queue
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

DEFAULT = "12x30"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the order of a few people have several parts."""
    monkeypatch.setattr(rules, "DRAWN_PART", 2)


@pytest.mark.timeout(0)  # it expires
def test_any_sequence_keeps_the_invariants(request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--machine")
    runs, steps = (int(number) for number in (asked or DEFAULT).split("x"))
    run_state_machine_as_test(
        Queue,
        settings=hypothesis_settings(
            max_examples=runs,
            stateful_step_count=steps,
            derandomize=not asked,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.fixture
def queue() -> Queue:
    """Return a line in which four people wait for four tickets, drawn."""
    made = Queue()
    made.begin(capacities=[4, 1])
    for buyer in range(4):
        made.enter(buyer=buyer, first={0: 1}, second=None)
    made.draw()
    return made


def test_control_giving_in_another_order_is_noticed(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = operations._entries_next

    def last_first(*asked: Any, most: int) -> list[Entry]:
        return list(reversed(chosen(*asked, most=500)))[:most]

    monkeypatch.setattr(operations, "_entries_next", last_first)

    with pytest.raises(AssertionError, match="was passed over"):
        queue.give(most=1)


def _two_givers(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a giver choose whose turn it is, and go on only when another giver waits for its locks."""
    chosen, has_chosen = operations._entries_next, Signal()
    first: list[object] = []

    def choose(*asked: Any, most: int) -> list[Entry]:
        entries = chosen(*asked, most=most)
        if not first:
            first.append(current_thread())
            has_chosen.set()
            waiting_for_a_lock(1)
        return entries

    def second() -> None:
        assert has_chosen.wait(timeout=60)
        queue.give(most=2)

    monkeypatch.setattr(operations, "_entries_next", choose)
    assert together(lambda: queue.give(most=2), second) == [None, None]
    monkeypatch.setattr(operations, "_entries_next", chosen)


def test_two_givers_give_one_after_the_other(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    _two_givers(queue, monkeypatch)

    assert Entry.objects.filter(state="given").count() == 4
    queue.teardown()


def test_control_two_givers_without_the_lock_are_noticed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = sql.INVENTORIES_LOCK.replace("FOR NO KEY UPDATE OF i", "")
    assert unlocked != sql.INVENTORIES_LOCK
    operations.drawn_parts_make(line=Line.objects.get())  # the second would wait for the first one's parts
    with monkeypatch.context() as removed:
        removed.setattr(sql, "INVENTORIES_LOCK", unlocked)
        removed.setattr(operations, "line_lock", lambda event_id: Line.objects.get(pk=event_id))
        # Here the check of later entries would be enough, without the locks.
        removed.setattr(selectors, "is_anyone_behind", lambda **_: False)
        _two_givers(queue, removed)

    with pytest.raises(AssertionError, match="was forgotten"):
        queue.teardown()
