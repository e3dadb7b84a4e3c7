"""At each named point of the draw, of giving and of a lapse the process is killed, and the next process continues.

No place is lost or doubled, and tickets are given in the drawn order.
"""

from collections.abc import Callable

import pytest
from django.utils import timezone

from checkout.tests.crash_points import Point, crash
from overlord.kernel import db
from tickets import operations as tickets
from tickets.line import operations, projections, services
from tickets.line.models import Entry, Line, TurnNotice
from tickets.line.tests.lines import HOLD, check, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

GIVING = [
    Point("the draw", db, "statement", "after"),
    Point("telling of the draw", projections, "announce_line", "after"),
    Point("locking the line", operations, "line_lock", "after"),
    Point("locking the inventories", tickets, "inventories_lock", "after"),
    Point("choosing who is next", operations, "_entries_next", "after"),
    Point("giving", tickets, "orders_give", "after"),
    Point("noting the turns", operations, "_turns_note", "after"),
    Point("moving on", operations, "_line_moved", "after"),
]
LAPSING = [
    Point("locking the order", tickets, "order_lock", "after"),
    Point("releasing the hold", tickets, "reservations_release", "after"),
]


@pytest.fixture
def ticket_type(ticket_type_make: Callable[..., TicketType]) -> TicketType:
    """Return a type of two tickets, for which four people wait when the sale opens."""
    [made] = line_make(ticket_type_make, 2)
    for buyer_id in people(4):
        enter(made, buyer_id)
    open_sale([made])
    return made


def tick() -> None:
    services.time_passed(hold=HOLD, now=timezone.now())


@pytest.mark.parametrize("point", GIVING, ids=str)
def test_a_kill_during_the_draw_or_giving_loses_no_place(ticket_type: TicketType, point: Point) -> None:
    assert crash(tick, point, "killed"), "the point was reached"
    places = dict(Entry.objects.exclude(place=None).values_list("number", "place"))
    assert Reservation.objects.count() in (0, 2), "a batch is given whole or not at all"
    serve_all(ticket_type)

    assert states(ticket_type.event_id) == ["given", "given", "waiting", "waiting"]
    assert places in ({}, dict(Entry.objects.values_list("number", "place"))), "a draw is not made twice"
    assert Reservation.objects.filter(state="held").count() == TurnNotice.objects.count() == 2
    assert Line.objects.get().served == 4
    check(ticket_type.event_id)


@pytest.mark.parametrize("point", LAPSING, ids=str)
def test_a_kill_while_a_hold_passes_to_the_next_gives_it_once(ticket_type: TicketType, point: Point) -> None:
    serve_all(ticket_type)
    Entry.objects.filter(state="given").update(look_by=timezone.now())
    assert crash(tick, point, "killed"), "the point was reached"
    serve_all(ticket_type)

    assert states(ticket_type.event_id) == ["passed", "passed", "given", "given"]
    assert Reservation.objects.filter(state="held").count() == 2
    assert Reservation.objects.filter(state="released").count() == 2
    check(ticket_type.event_id)


def test_control_a_giver_that_committed_before_its_end_would_be_noticed(ticket_type: TicketType) -> None:
    """Leave what such a giver would leave: the holds, and nobody who was given them."""
    serve_all(ticket_type)
    Entry.objects.filter(state="given").update(state="waiting", turn_at=None, order=None)
    Line.objects.update(served=0)
    serve_all(ticket_type)

    assert states(ticket_type.event_id) != ["given", "given", "waiting", "waiting"]
