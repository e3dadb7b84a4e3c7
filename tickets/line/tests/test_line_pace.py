"""The pace of a line in its row: it is measured while tickets are given, and all who wait read it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from overlord.kernel import db
from tickets.line import operations, projections, services
from tickets.line.models import Line
from tickets.line.tests.lines import HOLD, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Inventory, Reservation, TicketType
from tickets.operations import order_lock, reservations_release

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return the types of an event whose lobby is open: 5 tickets and 1."""
    return line_make(ticket_type_make, 5, 1)


def test_the_pace_is_measured_while_the_line_moves(types: list[TicketType]) -> None:
    event_id = types[0].event_id
    Inventory.objects.filter(pk=types[0].pk).update(capacity=100)
    for buyer_id in people(30):
        enter(types[0], buyer_id)
    open_sale(types)
    services.draw(event_id=event_id)
    began = timezone.now()
    for tick in range(28):
        with db.transaction():
            line = operations.line_lock(event_id=event_id)
            assert line is not None
            operations.line_serve(line=line, most=1, hold=HOLD, now=began + timedelta(seconds=tick / 2))
    assert Line.objects.get().per_minute == 120

    services.serve(event_id=event_id, hold=HOLD, now=began + timedelta(seconds=14))
    services.time_passed(hold=HOLD, now=began + timedelta(seconds=14))
    assert Line.objects.get().phase == "open"
    assert Line.objects.get().moved_at is None, "the time until the next person comes is not measured"


def test_a_draw_that_is_served_at_once_has_no_pace(types: list[TicketType]) -> None:
    for buyer_id in people(8):
        enter(types[0], buyer_id)
    open_sale(types)
    serve_all(types[0])

    assert states(types[0].event_id) == ["given"] * 5 + ["waiting"] * 3
    assert projections.line_shown(event_id=types[0].event_id, now=timezone.now())["per_minute"] == 0


def test_an_entry_that_returns_does_not_set_a_standing_line_in_motion(types: list[TicketType]) -> None:
    for buyer_id in people(3):
        enter(types[1], buyer_id)
    Inventory.objects.exclude(pk=types[1].pk).update(paused=True)
    open_sale(types)
    serve_all(types[1])
    with db.transaction():
        held, now = order_lock(order_id=Reservation.objects.get(state="held").pk)
        reservations_release(reservations=held, now=now)
    services.serve(event_id=types[0].event_id, hold=HOLD, now=timezone.now())

    assert states(types[0].event_id) == ["given", "given", "waiting"]
    assert Line.objects.get().is_standing, "no page shows a time for a moment"
