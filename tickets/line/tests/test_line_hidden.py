"""Ticket types that are hidden from buyers: no line opens for them, and no line gives them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from overlord.accounts.models import User
from tickets.line import figures, projections, selectors, services, staff_services
from tickets.line.models import Line
from tickets.line.rules import Action
from tickets.line.tests.lines import HOLD, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Event, Inventory, TicketType
from tickets.rules import SaleEnded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return a shown and a hidden type of an event whose lobby is open; the hidden one's sale is open already."""
    made = line_make(ticket_type_make, 1, 9)
    TicketType.objects.filter(pk=made[1].pk).update(hidden=True)
    Inventory.objects.filter(pk=made[1].pk).update(line_first=False)
    open_sale(made[1:])
    return made


def test_the_sale_opens_with_the_first_type_that_buyers_see(types: list[TicketType]) -> None:
    event_id, now = types[0].event_id, timezone.now()
    assert projections.line_shown(event_id=event_id, now=now)["opens_at"] > now
    for buyer_id in people(2):
        assert enter(types[0], buyer_id)["place"] is None
    services.time_passed(hold=HOLD, now=now)
    assert services.draw(event_id=event_id) is None
    assert Line.objects.get().phase == "lobby"

    open_sale(types[:1])
    assert services.draw(event_id=event_id) == 2


def test_no_lobby_opens_before_a_hidden_type(ticket_type_make: Callable[..., TicketType]) -> None:
    shown = ticket_type_make(opens_at=timezone.now() + timedelta(hours=2))
    hidden = ticket_type_make(event=shown.event, opens_at=timezone.now() + timedelta(minutes=5))
    Event.objects.update(opening="draw")
    assert selectors.lobbies_due(now=timezone.now()) == [shown.event_id]

    TicketType.objects.filter(pk=hidden.pk).update(hidden=True)
    assert selectors.lobbies_due(now=timezone.now()) == []


def test_opening_now_leaves_hidden_types_as_they_are(
    types: list[TicketType], user_make: Callable[..., User]
) -> None:
    later = timezone.now() + timedelta(days=1)
    Inventory.objects.update(opens_at=later)
    staff_services.line_act(
        event_id=types[0].event_id,
        actor_id=user_make().pk,
        action=Action.OPEN_NOW,
        text="",
        now=timezone.now(),
    )

    assert [each.opens_at == later for each in Inventory.objects.order_by("pk")] == [False, True]
    assert Line.objects.get().phase == "serving"


def test_tickets_of_a_hidden_type_do_not_keep_a_line_moving(types: list[TicketType]) -> None:
    for buyer_id in people(3):
        enter(types[0], buyer_id)
    open_sale(types[:1])
    services.draw(event_id=types[0].event_id)
    serve_all(types[0])

    assert states(types[0].event_id) == ["given", "waiting", "waiting"]
    assert Line.objects.get().is_standing
    wishes = figures.line_figures(event_id=types[0].event_id, now=timezone.now()).wishes
    assert [each.ticket_type for each in wishes] == [types[0].pk]


def test_a_type_that_was_hidden_or_deleted_since_is_given_to_nobody(types: list[TicketType]) -> None:
    TicketType.objects.update(hidden=False)
    buyers = people(2)
    for buyer_id in buyers:
        enter(types[1], buyer_id, second=[(types[0].pk, 1)])
    TicketType.objects.filter(pk=types[1].pk).update(hidden=True)
    open_sale(types[:1])
    services.draw(event_id=types[0].event_id)
    serve_all(types[0])
    assert Inventory.objects.get(pk=types[1].pk).held == 0
    assert states(types[0].event_id) == ["given", "waiting"]
    assert not Inventory.objects.get(pk=types[1].pk).line_first

    types[1].delete()
    Inventory.objects.filter(pk=types[0].pk).update(capacity=2)
    serve_all(types[0])
    assert states(types[0].event_id) == ["given", "given"]


def test_a_sale_of_hidden_types_alone_has_ended_for_the_line(types: list[TicketType], buyer: User) -> None:
    now = timezone.now()
    Inventory.objects.filter(pk=types[0].pk).update(opens_at=now - timedelta(hours=1), closes_at=now)

    with pytest.raises(SaleEnded):
        enter(types[0], buyer.pk)
    assert selectors.lines_at_work(now=timezone.now()) == []
