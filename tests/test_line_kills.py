"""A line loses no place while the worker, a web process and Daphne are killed and Redis is emptied."""

from datetime import timedelta

import pytest
from django.utils import timezone

from overlord.embedded import processes
from overlord.kernel import redis_client
from tests.system import System, eventually
from tests.visitors import type_on_sale, user_make
from tickets.line import services
from tickets.line.models import Entry, Line
from tickets.line.tests.lines import check, enter, open_sale, states
from tickets.models import Event, Inventory, Reservation

pytestmark = pytest.mark.processes

TICKETS, PEOPLE = 12, 16
KILLED = ("upkeep", "web", "live")


def test_no_place_is_lost_or_doubled_and_the_order_is_kept(system: System) -> None:
    made = type_on_sale(capacity=TICKETS)
    event_id = made.event_id
    Inventory.objects.filter(pk=made.pk).update(opens_at=timezone.now() + timedelta(minutes=10))
    Event.objects.filter(pk=event_id).update(opening="draw")
    services.lobby_open(event_id=event_id, now=timezone.now())
    for _ in range(PEOPLE):
        enter(made, user_make().pk)
    Line.objects.filter(pk=event_id).update(most_per_minute=30)  # so that it is killed while it gives tickets
    open_sale([made])
    eventually(lambda: Line.objects.get(pk=event_id).served > 0)

    for name in KILLED:
        system.child(name).kill()
    redis_client.connection().flushall()
    at_the_kill = given(event_id)
    restart(system)
    Line.objects.filter(pk=event_id).update(most_per_minute=None)
    screen = system.watch(f"/ws/line/{event_id}/")
    screen.until(lambda line: line["served"] == PEOPLE)

    assert at_the_kill == given(event_id)[: len(at_the_kill)]
    assert states(event_id) == ["given"] * TICKETS + ["waiting"] * (PEOPLE - TICKETS)
    assert Reservation.objects.filter(ticket_type=made, state="held").count() == TICKETS
    check(event_id)


def given(event_id: int) -> list[int]:
    """Return the buyers who were given tickets, by place."""
    entries = Entry.objects.filter(line_id=event_id, state="given").order_by("place")
    return list(entries.values_list("buyer_id", flat=True))


def restart(system: System) -> None:
    """Start the killed processes again, all at once."""
    for name in KILLED:
        [described] = [each for each in system.programs if each.name == name]
        system.children[system.children.index(system.child(name))] = processes.start(described, system.logs)
    for name in KILLED:
        system.child(name).wait_ready()
