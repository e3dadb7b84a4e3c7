"""Long lines: their entries are read as a whole only rarely, and changes are noticed at once."""

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from overlord.kernel import db
from tickets.line import figures, rules, services, standing
from tickets.line.models import Entry, Line
from tickets.line.tests.lines import HOLD, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Reservation, TicketType
from tickets.operations import order_lock, reservations_release

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(
    ticket_type_make: Callable[..., TicketType], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[TicketType]]:
    """Return the types of a line that counts as long: one ticket that three people wish, and five unwanted ones."""
    monkeypatch.setattr(rules, "SHORT_LINE", 1)
    monkeypatch.setattr(rules, "READ_A_SECOND", 0.001)
    for module in (figures, standing):
        monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    made = line_make(ticket_type_make, 1, 5)
    for buyer_id in people(3):
        enter(made[0], buyer_id)
    open_sale(made)
    services.draw(event_id=made[0].event_id)
    serve_all(made[0])
    yield made
    figures._kept.clear()
    standing._stood.clear()


@pytest.fixture
def served(types: list[TicketType], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the events whose line was tried since it stood still."""
    serve, tried = services.serve, list[int]()

    def note(**asked: object) -> int:
        tried.append(types[0].event_id)
        return serve(**asked)  # type: ignore[arg-type]

    services.time_passed(hold=HOLD, now=timezone.now())  # it stands still, and this is remembered
    monkeypatch.setattr(services, "serve", note)
    return tried


def tick() -> None:
    services.time_passed(hold=HOLD, now=timezone.now())


def test_a_line_that_stands_still_is_not_tried_again_until_something_changes(
    types: list[TicketType], served: list[int]
) -> None:
    assert Line.objects.get().is_standing
    tick()
    assert served == []

    with db.transaction():
        held, now = order_lock(order_id=Reservation.objects.get(state="held").pk)
        reservations_release(reservations=held, now=now)
    tick()
    assert states(types[0].event_id) == ["given", "given", "waiting"]


def test_a_person_who_enters_a_line_that_stands_still_is_served(
    types: list[TicketType], served: list[int]
) -> None:
    late = enter(types[1], people(1)[0])
    tick()

    assert Entry.objects.get(number=late["number"]).state == "given"
    assert served


def test_a_wish_that_changed_is_noticed_after_a_while(
    types: list[TicketType], served: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Entry.objects.filter(state="waiting")
    waiting.update(choices=[[[types[1].pk, 1]]])
    tick()
    assert served == []

    monkeypatch.setattr(standing, "monotonic", lambda: 1e6)
    serve_all(types[0])
    assert states(types[0].event_id) == ["given"] * 3


def test_a_held_line_is_not_tried_again_until_it_goes_on(types: list[TicketType], served: list[int]) -> None:
    Line.objects.update(is_held=True, is_standing=False)
    tick()
    served.clear()
    tick()
    assert served == []

    Line.objects.update(is_held=False)
    tick()
    assert served


def test_staff_read_the_counts_of_a_moment_ago(
    types: list[TicketType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting() -> int:
        return figures.line_figures(event_id=types[0].event_id, now=timezone.now()).states["waiting"]

    assert waiting() == 2
    enter(types[0], people(1)[0])
    assert waiting() == 2
    monkeypatch.setattr(figures, "monotonic", lambda: 1e6)
    assert waiting() == 3


@pytest.mark.parametrize(("entries", "seconds"), [(0, 0), (999, 0), (1_000, 0.1), (50_000, 5)])
def test_a_longer_line_is_read_less_often(entries: int, seconds: float) -> None:
    assert rules.seconds_between_reads(entries) == seconds
