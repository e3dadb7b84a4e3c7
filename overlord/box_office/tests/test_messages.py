"""The organiser's pages of messages: seen first, counted, sent once, followed."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from overlord.accounts.models import User
from overlord.mailings import services
from overlord.mailings.models import Mailing, Recipient
from overlord.mailings.permissions import Permission
from tests.clients import permit
from tickets.models import Reservation, TicketType
from tickets.tests.forms import fields_of
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(username="mona"), Permission.SEND_MESSAGES))
    return client


@pytest.fixture
def place(buyer: User, ticket_type: TicketType) -> str:
    """Sell a ticket, and return the address of the page of messages."""
    held = claim(buyer.pk, ticket_type, 1).reservation["id"]
    Reservation.objects.filter(pk=held).update(state="validated", validated_at=timezone.now())
    return f"/office/events/{ticket_type.event_id}/messages/"


def written(office: Client, place: str, **changed: Any) -> dict[str, Any]:
    key = re.search(r'name="key" value="([0-9a-f]{32})"', office.get(place).content.decode())
    assert key is not None
    sent = {"subject": "Doors", "text": "At *seven*.", "kind": "event", "audience": "tickets"}
    sent |= {"key": key[1], "with_holders": "on", **changed}
    return {**sent, "previewed": previewed(office.post(place, {**sent, "deed": "look"}))}


def previewed(page: Any) -> str:
    return fields_of(page)["previewed"]


def test_a_message_is_previewed_and_counted_before_it_is_sent(
    office: Client, place: str, buyer: User
) -> None:
    sent = written(office, place)

    page = office.post(place, {**sent, "deed": "look"}).content.decode()
    assert "<em>seven</em>" in page
    assert "This message goes to 1 person." in page
    assert not Mailing.objects.exists()
    office.post(place, {**sent, "deed": "try"})
    assert [each.address for each in Recipient.objects.all()] == ["mona@example.org"]
    office.post(place, {**sent, "deed": "send"})
    page = office.post(place, {**sent, "deed": "send"}, follow=True).content.decode()

    assert "0 of 1 mails were sent." in page
    services.mailings_go_on()
    assert sorted(each.to[0] for each in mail.outbox) == sorted(["mona@example.org", buyer.email])
    [mailing] = Mailing.objects.filter(is_trial=False)
    page = office.get(f"{place}{mailing.pk}/").content.decode()
    assert "1 of 1 mails were sent." in page
    assert "Doors" in office.get(place).content.decode()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subject": ""}, "Subject"),
        ({"subject": "x" * 151}, "Subject"),
        ({"subject": "a\x07b"}, "control character"),
        ({"text": "  \n "}, "Message"),
        ({"kind": "spam"}, "Kind of message"),
        ({"audience": "all"}, "To"),
        ({"ticket_type": "999999"}, "Ticket type"),
        ({"key": "x"}, "Please check the form"),
        ({"key": "0" * 65}, "Please check the form"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(
    office: Client, place: str, wrong: dict[str, Any], said: str
) -> None:
    answer = office.post(place, {**written(office, place), "deed": "send", **wrong})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not Mailing.objects.exists()


@pytest.mark.parametrize(
    "changed",
    [{"audience": "everyone"}, {"kind": "news"}, {"ticket_type": "type"}, {"with_holders": ""}],
)
def test_a_message_goes_only_to_the_recipients_that_the_preview_has_counted(
    office: Client, place: str, ticket_type: TicketType, changed: dict[str, str]
) -> None:
    if "ticket_type" in changed:
        changed = {"ticket_type": str(ticket_type.pk)}
    sent = {**written(office, place), **changed, "deed": "send"}
    answer = office.post(place, sent)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "the recipients are not those of the preview" in page
    assert "This message goes to 1 person." in page
    assert not Mailing.objects.exists()
    office.post(place, {**sent, "previewed": previewed(answer)})
    assert Mailing.objects.count() == 1


def test_staff_without_an_address_are_told_so_and_get_no_trial(office: Client, place: str) -> None:
    sent = {**written(office, place), "deed": "try"}
    User.objects.filter(username="mona").update(email="")
    answer = office.post(place, sent)
    assert answer.status_code == 409
    assert "your account has no e-mail address" in answer.content.decode()
    assert not Mailing.objects.exists()


def test_a_line_end_in_a_subject_begins_no_header(office: Client, place: str) -> None:
    sent = written(office, place, subject="Doors\r\nBcc: everybody@example.org")
    office.post(place, {**sent, "deed": "send"})
    services.mailings_go_on()
    [message] = mail.outbox
    assert message.subject == "Doors Bcc: everybody@example.org"
    assert message.message()["Bcc"] is None


def test_failed_mails_are_listed_and_tried_again(office: Client, place: str) -> None:
    office.post(place, {**written(office, place), "deed": "send"})
    Recipient.objects.update(next_look_at=None, failed_at=timezone.now(), reason="550 No such user")
    [mailing] = Mailing.objects.all()

    page = office.get(f"{place}{mailing.pk}/").content.decode()
    assert "550 No such user" in page
    office.post(f"{place}{mailing.pk}/retry/")

    assert services.mailings_go_on() == 1
    elsewhere = place.replace(f"/{mailing.event_id}/", f"/{mailing.event_id + 1}/")
    assert office.get(f"{elsewhere}{mailing.pk}/").status_code == 404


def test_a_form_that_is_changed_and_sent_again_says_that_it_sent_nothing(office: Client, place: str) -> None:
    sent = written(office, place)
    office.post(place, {**sent, "deed": "send"})

    changed = {**sent, "text": "At *eight*.", "deed": "send"}
    answer = office.post(place, changed)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Nothing was sent" in page
    assert "At *eight*." in page, "what was written stays"
    assert Mailing.objects.count() == 1

    [key] = re.findall(r'name="key" value="([0-9a-f]{32})"', page)
    office.post(place, {**changed, "key": key})
    assert sorted(Mailing.objects.values_list("text", flat=True)) == ["At *eight*.", "At *seven*."]


def test_the_list_says_when_mails_of_a_message_failed(office: Client, place: str) -> None:
    office.post(place, {**written(office, place), "deed": "send"})
    Recipient.objects.update(next_look_at=None, failed_at=timezone.now(), reason="550 No such user")
    services.mailings_go_on()

    assert "0 of 1 mails were sent." in office.get(place).content.decode()
