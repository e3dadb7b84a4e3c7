"""The page of a line, as forms alone."""

from collections.abc import Callable

import pytest
from django.test import Client

from tickets.line.models import Entry
from tickets.line.tests.lines import line_make, open_sale, serve_all
from tickets.models import Event, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    return line_make(ticket_type_make, 2, 5)


def place(types: list[TicketType]) -> str:
    return f"/events/{types[0].event_id}/line/"


def send(client: Client, types: list[TicketType], **fields: str) -> str:
    answer = client.post(place(types), fields, headers=SAME_SITE, follow=True)
    return answer.content.decode()


def test_a_visitor_enters_changes_and_leaves(client: Client, types: list[TicketType]) -> None:
    first, second = types
    page = client.get(place(types)).content.decode()
    assert "Enter the line" in page
    assert "csrfmiddlewaretoken" not in page

    entered = send(client, types, **{f"amount_{first.pk}": "2", f"second_amount_{second.pk}": "1"})
    assert "You are in line" in entered
    assert 'http-equiv="refresh"' in entered

    send(client, types, **{f"amount_{second.pk}": "3"})
    [entry] = Entry.objects.all()
    assert (entry.number, entry.choices) == (1, [[[second.pk, 3]]])

    left = send(client, types, leave="yes")
    assert "You are in line" not in left
    assert Entry.objects.get().state == "left"


def test_the_turn_shows_the_hold(client: Client, types: list[TicketType]) -> None:
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    open_sale(types)
    serve_all(types[0])

    page = client.get(place(types)).content.decode()

    held = Reservation.objects.get()
    assert "It is your turn" in page
    assert f"/checkout/{held.pk}/" in page
    assert Entry.objects.get().looked_at is not None


@pytest.mark.parametrize("amount", ["0", "x", "-1", "99999999999"])
def test_a_number_that_cannot_be_one_enters_nobody(
    client: Client, types: list[TicketType], amount: str
) -> None:
    answer = client.post(place(types), {f"amount_{types[0].pk}": amount}, headers=SAME_SITE)

    assert answer.status_code in (400, 409)
    assert "alert" in answer.content.decode()
    assert not Entry.objects.exists()


def test_another_site_enters_nobody(client: Client, types: list[TicketType]) -> None:
    answer = Client(enforce_csrf_checks=True).post(
        place(types), {f"amount_{types[0].pk}": "1"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert not Entry.objects.exists()


def test_the_event_page_leads_to_the_line(client: Client, types: list[TicketType]) -> None:
    assert place(types) in client.get(f"/events/{types[0].event_id}/").content.decode()


def test_an_event_without_a_line_shows_itself(client: Client, ticket_type: TicketType) -> None:
    answer = client.get(f"/events/{ticket_type.event_id}/line/")

    assert answer.headers["Location"] == f"/events/{ticket_type.event_id}/"
    assert client.get(f"/events/{Event.objects.latest('pk').pk + 1}/line/").status_code == 404
