"""Ticket types that are hidden from buyers: nobody sees them, and nobody claims them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import clock
from tests.clients import permit
from tickets import event_selectors, event_services, order_services
from tickets.event_rules import EventIncomplete
from tickets.line import selectors as line_selectors
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.order_services import Wanted
from tickets.permissions import Permission
from tickets.rules import UnknownTicketType
from tickets.tests.forms import Form
from tickets.tests.reserving import claim, reserve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def organiser(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_EVENTS, Permission.PAUSE_SALE))
    return client


@pytest.fixture
def hidden(ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]) -> TicketType:
    """Return a hidden type of an event that has a shown one too."""
    made = ticket_type_make(event=ticket_type.event)
    TicketType.objects.filter(pk=made.pk).update(hidden=True)
    return made


def test_a_hidden_type_is_shown_nowhere(hidden: TicketType, ticket_type: TicketType, api: APIClient) -> None:
    event_id = hidden.event_id
    for _ in range(2):  # read from the database, then from the cache
        shown = api.get(f"/event/events/{event_id}/").json()["tickets"]
        assert [each["id"] for each in shown] == [ticket_type.pk]
    assert api.get(f"/event/tickets/{hidden.pk}/").status_code == 404
    assert api.get("/event/events/").json()["results"][0]["tickets"] == [ticket_type.pk]
    assert hidden.name not in Client().get(f"/events/{event_id}/").content.decode()
    assert line_selectors.types_of(event_id=event_id) == [ticket_type.pk]
    [listed] = event_selectors.events_next(event_selectors.events_for_buyers(now=clock.now()), most=5)
    assert [each["left"] for each in listed["types"]] == [50]


def test_nobody_claims_a_hidden_type_alone_or_with_others(
    hidden: TicketType, ticket_type: TicketType, buyer: User, api: APIClient
) -> None:
    with pytest.raises(UnknownTicketType):
        claim(buyer.pk, hidden, 1)
    assert (reserve(api, hidden).status_code, reserve(api, hidden).json()["code"]) == (
        400,
        "unknown_ticket_type",
    )
    items = [Wanted(ticket_type=each.pk, quantity=1) for each in (ticket_type, hidden)]
    for order in (items, items[::-1]):
        with pytest.raises(UnknownTicketType) as refused:
            order_services.order_claim(
                buyer_id=buyer.pk,
                items=order,
                order_id=None,
                key=None,
                hold=timedelta(minutes=5),
                now=clock.now(),
            )
        assert refused.value.facts["ticket_type"] == hidden.pk
    assert not Reservation.objects.exists()
    TicketType.objects.update(hidden=False)
    assert claim(buyer.pk, hidden, 1).reservation["amount"] == 1


def test_staff_hide_a_type_and_show_it_again_and_the_version_never_falls(
    ticket_type: TicketType, organiser: Client, api: APIClient
) -> None:
    Inventory.objects.update(version=1000)
    event_id = ticket_type.event_id
    before = api.get(f"/event/events/{event_id}/").json()
    address = f"/office/events/{event_id}/edit/"
    assert Form(organiser, address).send(type0_hidden="on").status_code == 302
    during = api.get(f"/event/events/{event_id}/").json()
    assert during["tickets"] == []
    assert "hidden from buyers" in organiser.get(f"/office/events/{event_id}/").content.decode()
    form = Form(organiser, address)
    del form.fields["ticket_types-0-hidden"]
    assert form.send().status_code == 302
    after = api.get(f"/event/events/{event_id}/").json()
    assert len(after["tickets"]) == 1
    assert before["version"] < during["version"] < after["version"]


def test_no_line_comes_first_for_a_hidden_type(ticket_type: TicketType, organiser: Client) -> None:
    address = f"/office/events/{ticket_type.event_id}/edit/"
    opens = {"type0_opens_at_0": "2020-01-01", "type0_opens_at_1": "10:00"}
    assert Form(organiser, address).send(opening="draw", **opens).status_code == 302
    assert Inventory.objects.get().line_first
    assert Form(organiser, address).send(type0_hidden="on").status_code == 302
    assert not Inventory.objects.get().line_first
    assert Form(organiser, address).send(venue="Castle").status_code == 302
    assert not Inventory.objects.get().line_first


def test_an_outdated_form_says_that_a_type_was_hidden_and_keeps_it(
    ticket_type: TicketType, organiser: Client
) -> None:
    address = f"/office/events/{ticket_type.event_id}/edit/"
    first, second = Form(organiser, address), Form(organiser, address)
    assert first.send(type0_hidden="on").status_code == 302
    page = second.send(name="Ball").content.decode()
    assert "Hide from buyers of" in page
    assert second.send().status_code == 302
    assert TicketType.objects.get().hidden
    assert Event.objects.get().name == "Ball"


def test_a_copy_of_an_event_hides_the_same_types(hidden: TicketType, organiser: Client) -> None:
    organiser.post(f"/office/events/{hidden.event_id}/copy/")
    assert list(TicketType.objects.order_by("pk").values_list("hidden", flat=True)) == [False, True] * 2


def test_a_draw_without_an_opening_is_refused(ticket_type: TicketType, organiser: Client) -> None:
    """Refuse it because no line would ever begin, and nobody could buy these tickets."""
    form = Form(organiser, f"/office/events/{ticket_type.event_id}/edit/")
    answer = form.send(opening="draw")
    assert "An event that opens by a draw needs this time" in answer.content.decode()
    assert not Inventory.objects.get().line_first
    assert form.send(type0_opens_at_0="2020-01-01", type0_opens_at_1="10:00").status_code == 302
    assert Form(organiser, form.url).send(type0_opens_at_0="", type0_opens_at_1="").status_code == 400
    assert Inventory.objects.get().opens_at is not None


def test_a_draft_may_lack_the_opening_of_its_draw_until_it_goes_on_sale(
    ticket_type: TicketType, organiser: Client
) -> None:
    event_id = ticket_type.event_id
    Inventory.objects.update(paused=True)
    Event.objects.filter(pk=event_id).update(status=Event.Status.DRAFT)
    assert Form(organiser, f"/office/events/{event_id}/edit/").send(opening="draw").status_code == 302
    page = organiser.get(f"/office/events/{event_id}/").content.decode()
    assert "Fill in “Sale opens”" in page
    with pytest.raises(EventIncomplete):
        event_services.event_publish(
            staff_id=User.objects.get(is_staff=True).pk,
            event_id=event_id,
            version=Event.objects.get().version,
            now=clock.now(),
        )
