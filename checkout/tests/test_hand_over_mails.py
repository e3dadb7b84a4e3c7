"""The e-mails about tickets that are handed over: each once, to the right person, without the data of others."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Payment
from checkout.services import hand_over_mails
from checkout.tests.paying import pay, work
from overlord.accounts.models import User
from tests.threads import together
from tickets.admission.models import HandOverNotice, Ticket

pytestmark = pytest.mark.django_db(transaction=True)

FRIEND = "friend@example.org"


@pytest.fixture
def ticket(api: APIClient, payment: Payment) -> Ticket:
    """Return a ticket whose receipt is sent."""
    pay(api, payment)
    work(payment)
    services.mails_send()
    mail.outbox.clear()
    return Ticket.objects.order_by("pk")[0]


def hand(api: APIClient, ticket: Ticket, email: str = FRIEND) -> None:
    answer = api.post(
        f"/event/reservations/{ticket.reservation_id}/tickets/{ticket.pk}/hand-over/",
        {"email": email, "holder": "Grace"},
        format="json",
    )
    assert answer.status_code == 200


def sent() -> dict[str, str]:
    """Return the text of each mail that was sent, by address."""
    return {message.to[0]: str(message.body) for message in mail.outbox}


@override_settings(BASE_URL="https://tickets.example.org")
def test_each_is_told_once_and_only_the_new_holder_gets_a_link(
    api: APIClient, buyer: User, ticket: Ticket
) -> None:
    hand(api, ticket)
    together(*[services.mails_send] * 3)
    HandOverNotice.objects.exclude(next_look_at=None).update(
        next_look_at=timezone.now() - timedelta(seconds=1)
    )
    services.mails_send()

    assert len(mail.outbox) == 2
    texts = sent()
    [link] = re.findall(r"https://tickets\.example\.org(/t/\S+/)", texts[FRIEND])
    assert Client().get(link).content.decode().count('class="qr"') == 1
    assert "Hello Grace" in texts[FRIEND]
    assert "/t/" not in texts[buyer.email]
    assert FRIEND not in texts[buyer.email]
    assert "no longer works at the door" in texts[buyer.email]


def test_only_the_new_holder_gets_files_and_only_of_this_ticket(
    api: APIClient, buyer: User, ticket: Ticket
) -> None:
    hand(api, ticket)
    services.mails_send()

    files = {message.to[0]: message.attachments for message in mail.outbox}
    printed, calendar = files[FRIEND]
    assert (printed[2], calendar[2]) == ("application/pdf", "text/calendar")
    assert len(re.findall(rb"/Type /Page\b", printed[1])) == 1
    assert files[buyer.email] == []


def test_a_former_holder_gets_no_link(api: APIClient, buyer: User, ticket: Ticket) -> None:
    hand(api, ticket)
    hand(api, ticket, "second@example.org")
    services.mails_send()

    links = [address for address, text in sent().items() if "/t/" in text]
    assert links == ["second@example.org"]
    assert "The buyer has handed your ticket" in sent()[FRIEND]


def test_a_mail_that_is_written_while_the_ticket_is_handed_on_has_no_files(
    api: APIClient, ticket: Ticket
) -> None:
    hand(api, ticket)
    notice = HandOverNotice.objects.select_related("ticket__reservation").get(kind="received")
    assert notice.ticket.issue == 2
    hand(api, ticket, "second@example.org")

    written = hand_over_mails.mail(notice, now=timezone.now())
    assert written is not None
    assert (written.to, written.attachments) == ([FRIEND], [])


def test_nobody_is_told_a_ticket_that_was_revoked_meanwhile(api: APIClient, ticket: Ticket) -> None:
    hand(api, ticket)
    Ticket.objects.update(state="revoked", revoked_at=timezone.now())
    services.mails_send()

    assert FRIEND not in sent()
    assert HandOverNotice.objects.filter(next_look_at__isnull=False).count() == 0


@override_settings(BASE_URL="https://tickets.example.org")
def test_back_with_the_buyer_the_mail_has_the_link_of_the_order(
    api: APIClient, buyer: User, ticket: Ticket
) -> None:
    hand(api, ticket, buyer.email)
    services.mails_send()

    [message] = mail.outbox  # no ticket left the buyer
    [link] = re.findall(r"https://tickets\.example\.org(/t/\S+/)", str(message.body))
    assert message.to == [buyer.email]
    assert Client().get(link).content.decode().count('class="qr"') == 2
