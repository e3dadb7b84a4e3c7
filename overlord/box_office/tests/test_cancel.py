"""The page on which staff cancel an event: the consequences, the decision, and the progress of the refunds."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from checkout import rules, services
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import EventCancellation, Payment
from checkout.permissions import Permission
from checkout.tests.cancelling import go_on, many_paid
from checkout.tests.paying import pay, work
from overlord.accounts.models import User
from tests.clients import permit
from tickets.models import Event, TicketType
from tickets.permissions import Permission as TicketsPermission
from tickets.tests.forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(username="mona"), *Permission, *TicketsPermission))
    return client


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


def address(event_id: int) -> str:
    return f"/office/events/{event_id}/cancel/"


def test_the_page_shows_the_cost_cancels_and_shows_the_progress(office: Client, paid: Payment) -> None:
    event = Event.objects.get()
    assert address(event.pk) in office.get(f"/office/events/{event.pk}/").content.decode()
    asked = office.get(address(event.pk))
    assert "€30.00" in asked.content.decode()
    sent = {**fields_of(asked), "message": "Sorry.", "sure": "on"}
    answer = office.post(address(event.pk), sent, follow=True)
    page = answer.content.decode()
    assert "In progress" in page
    assert "are being counted" in page
    assert "€0.00" not in page, "no worker has counted the orders yet"
    assert answer["Refresh"], "it reloads until all is done"
    go_on()
    services.mails_send()
    done = office.get(address(event.pk))
    assert "Done" in done.content.decode()
    assert "1 of 1 orders" in done.content.decode()
    assert "Refresh" not in done
    again = office.post(address(event.pk), sent)
    assert again.status_code == 409
    assert "already been cancelled" in again.content.decode()
    assert EventCancellation.objects.count() == 1


def test_a_form_without_the_confirmation_cancels_nothing(office: Client, ticket_type: TicketType) -> None:
    sent = fields_of(office.get(address(ticket_type.event_id)))
    assert office.post(address(ticket_type.event_id), sent).status_code == 400
    assert not EventCancellation.objects.exists()


def test_an_outdated_page_cancels_nothing(office: Client, ticket_type: TicketType) -> None:
    sent = {**fields_of(office.get(address(ticket_type.event_id))), "sure": "on"}
    Event.objects.update(version=77)
    answer = office.post(address(ticket_type.event_id), sent)
    assert answer.status_code == 409
    assert "Somebody has changed this event" in answer.content.decode()
    assert office.post(address(ticket_type.event_id), {**fields_of(answer), "sure": "on"}).status_code == 302


def test_a_draft_has_no_such_page(office: Client, ticket_type: TicketType) -> None:
    TicketType.objects.get().inventory.__class__.objects.update(paused=True)
    Event.objects.update(status="draft")
    assert office.get(address(ticket_type.event_id)).status_code == 404


def test_a_refused_refund_is_listed_and_tried_again(
    office: Client, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Event.objects.get()
    office.post(address(event.pk), {**fields_of(office.get(address(event.pk))), "sure": "on"})
    refused = rules.Refunded(outcome=rules.RefundOutcome.FAILED, error="The card <was> closed.")
    with monkeypatch.context() as refusing:
        refusing.setattr(SandboxGateway, "refund", lambda *_, **__: refused)
        go_on()
    services.mails_send()
    page = office.get(address(event.pk)).content.decode()
    assert "The card &lt;was&gt; closed." in page
    assert "Some refunds need your help" in page
    answer = office.post(f"{address(event.pk)}retry/", follow=True)
    assert "1 refund is being tried again." in answer.content.decode()
    go_on()
    assert "Not refunded" not in office.get(address(event.pk)).content.decode()


def test_the_number_of_queries_does_not_grow(
    office: Client, ticket_type_make: Callable[..., TicketType]
) -> None:
    def count(orders: int) -> int:
        ticket_type = ticket_type_make(capacity=orders)
        many_paid(ticket_type, orders=orders)
        with CaptureQueriesContext(connection) as queries:
            assert office.get(address(ticket_type.event_id)).status_code == 200
        services.event_cancel(
            staff_id=User.objects.get(username="mona").pk,
            event_id=ticket_type.event_id,
            version=Event.objects.get(pk=ticket_type.event_id).version,
            message="",
        )
        services.cancellations_go_on()
        with CaptureQueriesContext(connection) as more:
            assert office.get(address(ticket_type.event_id)).status_code == 200
        User.objects.filter(username__startswith="guest-many").update(
            username=Concat(Value("was-"), Cast(F("pk"), CharField()))
        )
        return len(queries) + len(more)

    count(1)
    assert count(2) == count(6)
