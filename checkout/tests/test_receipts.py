"""The e-mail about a successful payment."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.db import OperationalError
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import operations, services
from checkout.models import Incident, OrderRecord, Payment, Receipt
from checkout.order_rules import NothingToSend, OrderAction
from checkout.permissions import Permission
from checkout.services import mails
from checkout.services import orders as order_services
from checkout.tests.paying import PAYMENTS, lines, pay, work
from overlord.accounts.models import User
from overlord.shop import look
from overlord.shop.models import Look
from tests.clients import api_of, permit
from tests.threads import together
from tickets.admission.hand_over_services import ticket_hand_over
from tickets.admission.models import Ticket
from tickets.admission.selectors import Reach
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import reserve
from tickets.tests.vouchers import reserve_with, voucher_make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


def due() -> None:
    Receipt.objects.exclude(next_look_at=None).update(next_look_at=timezone.now() - timedelta(seconds=1))


def test_a_receipt_lists_what_was_bought(paid: Payment, buyer: User) -> None:
    assert services.mails_send() == 1

    [message] = mail.outbox
    assert message.to == [buyer.email]
    assert paid.reservation.ticket_type.event.name in message.subject
    assert "2 x" in message.body
    assert "€30.00" in message.body


def test_a_receipt_names_the_code_that_gave_the_price(
    api: APIClient, ticket_type: TicketType, user_make: Callable[..., User]
) -> None:
    voucher_make(ticket_type.event)
    order = reserve_with(api, ticket_type, "SPRING", 2).json()["id"]
    made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()
    payment = Payment.objects.get(pk=made["id"])
    pay(api, payment)
    work(payment)
    services.mails_send()

    [message] = mail.outbox
    assert isinstance(message, EmailMultiAlternatives)
    assert "€27.00 (code SPRING: €1.50 off each ticket)" in message.body
    assert "code SPRING: €1.50 off each ticket" in str(message.alternatives[0][0])
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_ORDERS))
    assert "code SPRING: €1.50 off each ticket" in client.get(f"/office/orders/{order}/").content.decode()
    client.force_login(payment.buyer)
    for page in (f"/checkout/{order}/", "/me/"):
        assert "code SPRING: €1.50 off each ticket" in client.get(page).content.decode()


def test_a_receipt_has_the_link_to_the_tickets_and_the_seller_as_text_and_as_html(paid: Payment) -> None:
    ours = Look(
        name="Shop",
        seller_name="Club <Nord>",
        seller_address="1 Example Street\n10115 Berlin",
        accent="#b3261e",
        reply_to="kasse@example.org",
        imprint="x",
    )
    look.remember(ours, seconds=3600)
    with override_settings(BASE_URL="https://tickets.example.org"):
        services.mails_send()

    [message] = mail.outbox
    assert isinstance(message, EmailMultiAlternatives)
    [(page, kind)] = message.alternatives
    assert kind == "text/html"
    [link] = re.findall(r"https://tickets\.example\.org(/t/\S+/)", str(message.body))
    assert f'href="https://tickets.example.org{link}"' in str(page)
    shown = Client().get(link)
    assert shown.status_code == 200
    assert shown.content.decode().count('class="qr"') == 2
    assert message.from_email.startswith("Shop <")
    assert message.reply_to == ["kasse@example.org"]
    assert "background:#b3261e" in str(page)
    assert "Imprint: https://tickets.example.org/imprint/" in message.body
    assert 'href="https://tickets.example.org/imprint/"' in str(page)
    assert '"color:#b3261e' not in str(page), "a mail may be dark"
    assert "Sold by Club <Nord>\n1 Example Street\n10115 Berlin\n" in message.body
    assert "Club &lt;Nord&gt;<br>1 Example Street<br>10115 Berlin" in str(page)
    assert f"Order number: {paid.reservation_id}" in message.body
    assert f"Order number: {paid.reservation_id}" in str(page)
    kinds = [(name, kind) for name, _content, kind in message.attachments]
    event = paid.reservation.ticket_type.event_id
    assert kinds == [
        (f"tickets-{paid.reservation_id}.pdf", "application/pdf"),
        (f"event-{event}.ics", "text/calendar"),
    ]


@pytest.fixture
def free(api: APIClient, ticket_type_make: Callable[..., TicketType]) -> Payment:
    """Return the payment of an order of two types that cost nothing."""
    first = ticket_type_make(price_minor=0)
    types = [first, ticket_type_make(event=first.event, price_minor=0)]
    items = [{"ticket_type": each.pk, "amount": 1} for each in types]
    order = api.post("/event/reservations/batch/", {"items": items}, format="json").json()["order"]
    made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()
    payment = Payment.objects.get(pk=made["id"])
    pay(api, payment)
    payment.refresh_from_db()
    return payment


OF_PAYMENT = ("Your payment has been", "Ihre Zahlung", "Paid on", "Bezahlt am")


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_receipt_of_free_tickets_speaks_of_no_payment(free: Payment, paid: Payment, language: str) -> None:
    User.objects.update(language=language)
    assert services.mails_send() == 2
    number = "Bestellnummer:" if language == "de" else "Order number:"
    said = {}
    for message in mail.outbox:
        assert isinstance(message, EmailMultiAlternatives)
        order = message.body.partition(number)[2].split()[0]
        texts = (message.body, str(message.alternatives[0][0]))
        said[order] = [any(word in text for word in OF_PAYMENT) for text in texts]
    assert said == {str(free.reservation_id): [False, False], str(paid.reservation_id): [True, True]}


def test_a_receipt_speaks_of_the_codes_only_if_the_buyer_has_some(
    paid: Payment, user_make: Callable[..., User]
) -> None:
    services.mails_send()
    for ticket in Ticket.objects.all():
        ticket_hand_over(
            reach=Reach(order_id=paid.reservation_id),
            ticket_id=ticket.pk,
            email="bob@example.org",
            holder="",
            seen=None,
            now=timezone.now(),
        )
    resend(paid, permit(user_make(), Permission.MANAGE_ORDERS))
    services.mails_send()

    receipts = [each for each in mail.outbox if isinstance(each, EmailMultiAlternatives)]
    told = [
        (len(each.attachments), "attached PDF" in each.body, "attached PDF" in str(each.alternatives[0][0]))
        for each in receipts
    ]
    assert told == [(2, True, True), (0, False, False)]


def give_back(reservation: Reservation, staff: User) -> None:
    services.reservation_return(staff_id=staff.pk, reservation_id=reservation.pk)


def resend(payment: Payment, staff: User) -> None:
    order_services.receipt_resend(staff_id=staff.pk, order_id=payment.reservation_id)


class TestTicketsThatAreGone:
    """Nobody is thanked for tickets that are gone."""

    @pytest.fixture
    def staff(self, user_make: Callable[..., User]) -> User:
        return permit(user_make(), Permission.MANAGE_ORDERS)

    def test_returned_ones_are_not_sent(self, free: Payment, staff: User) -> None:
        for each in lines(free):
            give_back(each, staff)
        assert services.mails_send() == 0
        assert Receipt.objects.get().next_look_at is None
        with pytest.raises(NothingToSend):
            resend(free, staff)
        assert not OrderRecord.objects.filter(what=OrderAction.MAIL).exists()

    def test_those_that_are_left_are_sent_alone(self, free: Payment, staff: User) -> None:
        """The control of the test above."""
        gone, left = lines(free)
        give_back(gone, staff)
        assert services.mails_send() == 1
        resend(free, staff)
        assert services.mails_send() == 1
        for message in mail.outbox:
            assert left.ticket_type.name in message.body
            assert gone.ticket_type.name not in message.body

    def test_those_of_a_cancelled_event_are_not_sent_before_they_are_revoked_either(
        self, paid: Payment, staff: User
    ) -> None:
        event = paid.reservation.ticket_type.event
        services.event_cancel(staff_id=staff.pk, event_id=event.pk, version=event.version, message="")
        assert set(Ticket.objects.values_list("state", flat=True)) == {"valid"}
        assert services.mails_send() == 0
        with pytest.raises(NothingToSend):
            resend(paid, staff)


def test_a_receipt_is_sent_once(paid: Payment) -> None:
    together(*[services.mails_send] * 4)
    due()
    services.mails_send()
    assert len(mail.outbox) == 1


def test_no_receipt_is_owed_for_a_failed_payment(api: APIClient, payment: Payment) -> None:
    pay(api, payment, "card_error")
    work(payment)
    assert services.mails_send() == 0
    assert mail.outbox == []


def test_a_receipt_is_tried_again_when_the_mail_server_does_not_answer(
    paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> int:
        raise ConnectionRefusedError

    with monkeypatch.context() as stopped:
        stopped.setattr(EmailBackend, "send_messages", away)
        assert services.mails_send() == 0
        assert services.mails_send() == 0  # not before its pause is over
        Receipt.objects.update(attempts=mails.ATTEMPTS - 1)
        due()
        services.mails_send()
    assert Incident.objects.get().cause == "stuck"

    Receipt.objects.update(next_look_at=timezone.now())
    assert services.mails_send() == 1
    assert Receipt.objects.get().sent_at is not None


def test_a_receipt_that_cannot_be_sent_is_told_to_staff_and_delays_no_other(
    paid: Payment, ticket_type: TicketType, user_make: Callable[..., User]
) -> None:
    User.objects.filter(pk=paid.buyer_id).update(email="a@\u200d.de")
    other = user_make()
    api = api_of(other)
    held = reserve(api, ticket_type).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    second = Payment.objects.get(pk=made["id"])
    pay(api, second)
    work(second)

    assert services.mails_send() == 1
    assert [message.to for message in mail.outbox] == [[other.email]]
    assert (Incident.objects.get().payment_id, Incident.objects.get().cause) == (paid.pk, "stuck")
    assert services.mails_send() == 0


def test_a_receipt_stays_owed_when_the_database_goes_away(
    paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> int:
        raise OperationalError

    with monkeypatch.context() as stopped:
        stopped.setattr(EmailBackend, "send_messages", away)
        with pytest.raises(OperationalError):
            services.mails_send()
    due()
    assert services.mails_send() == 1


def test_a_receipt_that_is_sent_again_after_a_death_has_the_same_message_id(
    paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EmailBackend.send_messages

    def die(self: EmailBackend, messages: Any) -> int:
        original(self, messages)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(EmailBackend, "send_messages", die)
        with pytest.raises(KeyboardInterrupt):
            services.mails_send()
    due()
    services.mails_send()

    first, second = (message.extra_headers["Message-ID"] for message in mail.outbox)
    assert first == second


def test_a_mail_that_is_no_longer_owed_is_not_taken(paid: Payment) -> None:
    """Two workers may find the same mail, one after the other has sent it."""
    assert services.mails_send() == 1
    receipt = Receipt.objects.get()

    assert operations.mail_take(Receipt, pk=receipt.pk, lease=timedelta(seconds=30)) is None

    before, attempts = receipt.next_look_at, receipt.attempts
    receipt.refresh_from_db()
    assert (receipt.next_look_at, receipt.attempts) == (before, attempts)
