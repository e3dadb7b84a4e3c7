"""People with tickets get a mail about a new place or a cancellation, with a new calendar file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from icalendar import Calendar
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Payment
from checkout.permissions import Permission
from checkout.services import holder_mails, mails
from checkout.tests.paying import PAYMENTS, heal, pay, work
from overlord.accounts.models import User
from overlord.box_office import selectors
from overlord.kernel import db
from tests.clients import api_of, permit
from tests.threads import together
from tickets.admission.models import HolderNotice, Ticket
from tickets.models import Event, MoveNotice, TicketType
from tickets.permissions import Permission as TicketsPermission
from tickets.tests.forms import Form
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)

FRIEND = "friend@example.org"


@pytest.fixture
def event(api: APIClient, payment: Payment) -> Event:
    """Return an event with two tickets paid, one of them handed over, whose mails were sent."""
    Event.objects.update(
        date=datetime(2031, 1, 8, 19, 30, tzinfo=UTC),
        time_zone="UTC",
        venue="Town Hall",
        address="Main Street 1",
    )
    pay(api, payment)
    work(payment)
    [ticket, _] = Ticket.objects.order_by("pk")
    place = f"/event/reservations/{payment.reservation_id}/tickets/{ticket.pk}/hand-over/"
    assert api.post(place, {"email": FRIEND, "holder": "Grace"}, format="json").status_code == 200
    services.mails_send()
    mail.outbox.clear()
    return Event.objects.get()


@pytest.fixture
def office(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(username="mona"), *TicketsPermission, Permission.CANCEL_EVENT))
    return client


def edit(office: Client, event: Event, **changed: str) -> None:
    assert Form(office, f"/office/events/{event.pk}/edit/").send(**changed).status_code == 302


def sent() -> dict[str, Any]:
    """Send the mails that are owed, and return them by address."""
    mail.outbox.clear()
    while services.mails_send():
        pass
    found = {each.to[0]: each for each in mail.outbox}
    assert len(found) == len(mail.outbox), "each gets one mail"
    return found


def calendar_of(message: Any) -> dict[str, Any]:
    [content] = [part[1] for part in message.attachments if part[0].endswith(".ics")]
    [shown] = Calendar.from_ical(content).walk("VEVENT")
    return {name: str(shown.get(name)) for name in ("UID", "SEQUENCE", "LOCATION", "STATUS", "SUMMARY")}


def test_buyer_and_holder_are_told_a_new_place_once(office: Client, event: Event, buyer: User) -> None:
    edit(office, event, venue="Opera", address="")
    together(*[services.mails_send] * 3)
    found = {each.to[0]: each for each in mail.outbox} | sent()

    assert found.keys() == {buyer.email, FRIEND}
    for message in found.values():
        assert "New: Opera\n" in message.body
        assert "Before: Town Hall, Main Street 1" in message.body
        assert "Date" not in message.body
    assert "Hello Grace" in found[FRIEND].body
    assert sent() == {}


def test_calendar_files_replace_the_earlier_ones(office: Client, event: Event, buyer: User) -> None:
    edit(office, event, date_1="20:00:00")
    first = sent()
    edit(office, event, venue="Opera")
    second = sent()

    for address in (buyer.email, FRIEND):
        before, after = calendar_of(first[address]), calendar_of(second[address])
        assert before["UID"] == after["UID"]
        assert (before["SEQUENCE"], after["SEQUENCE"]) == ("1", "2")
        assert after["LOCATION"] == "Opera, Main Street 1"


@pytest.fixture
def second(api: APIClient, event: Event, payment: Payment) -> Payment:
    """Return the payment of another order of the same buyer, whose mail was sent."""
    held = reserve(api, payment.reservation.ticket_type).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    other = Payment.objects.get(pk=made["id"])
    pay(api, other)
    work(other)
    services.mails_send()
    mail.outbox.clear()
    return other


def files_of(message: Any) -> dict[str, str]:
    """Return the UID of each calendar file by its name."""
    return {
        name: str(Calendar.from_ical(content).walk("VEVENT")[0].get("UID"))
        for name, content, _kind in message.attachments
    }


def test_each_order_of_a_buyer_gets_its_new_calendar_file_in_one_mail(
    office: Client, event: Event, buyer: User, payment: Payment, second: Payment
) -> None:
    edit(office, event, date_1="20:00:00")
    message = sent()[buyer.email]

    orders = [payment.reservation_id, second.reservation_id]
    assert files_of(message) == {
        f"order-{order}-event-{event.pk}.ics": f"event-{event.pk}-order-{order}@ticket-overlord"
        for order in orders
    }
    for order in orders:
        assert f"Order number: {order}\n" in message.body
    assert "Open the attached files" in message.body


def test_an_order_that_was_refunded_gets_none(
    office: Client,
    event: Event,
    buyer: User,
    user_make: Callable[..., User],
    payment: Payment,
    second: Payment,
) -> None:
    services.refund_request(
        staff_id=user_make().pk, payment_id=second.pk, amount_minor=None, return_tickets=False
    )
    heal(rounds=1)
    sent()
    edit(office, event, date_1="20:00:00")
    message = sent()[buyer.email]

    order = payment.reservation_id
    assert files_of(message) == {f"event-{event.pk}.ics": f"event-{event.pk}-order-{order}@ticket-overlord"}
    assert f"Order number: {second.reservation_id}" not in message.body
    assert "Open the attached file " in message.body


def test_the_form_counts_those_alone_who_get_a_mail(
    office: Client,
    event: Event,
    buyer: User,
    user_make: Callable[..., User],
    payment: Payment,
    second: Payment,
    ticket_type: TicketType,
) -> None:
    third = user_make()
    their = api_of(third)
    held = reserve(their, ticket_type, 3).json()
    made = their.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    paid = Payment.objects.get(pk=made["id"])
    pay(their, paid)
    work(paid)
    assert selectors.people_to_tell(event_id=event.pk) == 3  # the control: the third one is told as yet

    services.refund_request(
        staff_id=user_make().pk, payment_id=paid.pk, amount_minor=None, return_tickets=False
    )
    heal(rounds=1)
    mine = Ticket.objects.get(reservation=second.reservation)
    Ticket.objects.filter(pk=mine.pk).update(handed_to=FRIEND)
    assert selectors.people_to_tell(event_id=event.pk) == 2
    services.mails_send()
    mail.outbox.clear()
    edit(office, event, venue="Opera")
    while services.mails_send():
        pass
    assert {each.to[0] for each in mail.outbox} == {buyer.email, FRIEND}


@pytest.mark.parametrize(
    ("changed", "rises"),
    [
        ({"name": "Another"}, True),
        ({"ends_at_0": "2031-01-08", "ends_at_1": "23:00:00"}, True),
        ({"description": "With dinner"}, False),
    ],
)
def test_only_what_a_calendar_shows_raises_its_number_and_nobody_is_told(
    office: Client, event: Event, changed: dict[str, str], rises: bool
) -> None:
    edit(office, event, **changed)
    assert Event.objects.get().calendar_version == int(rises)
    assert sent() == {}


def test_a_move_that_was_undone_before_its_mail_is_not_told(office: Client, event: Event) -> None:
    edit(office, event, venue="Opera")
    edit(office, event, venue="Town Hall")
    assert sent() == {}
    assert not HolderNotice.objects.exclude(next_look_at=None).exists()


def test_a_notice_of_the_former_release_tells_of_the_date_alone(event: Event, buyer: User) -> None:
    MoveNotice.objects.create(
        event=event,
        buyer=buyer,
        date_before=event.date - timedelta(days=1),
        time_zone_before="UTC",
        next_look_at=event.date - timedelta(days=3650),
    )
    found = sent()
    assert found.keys() == {buyer.email, FRIEND}
    assert "Place" not in found[buyer.email].body


def test_a_worker_that_dies_owes_each_holder_one_mail(
    office: Client, event: Event, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(_: Any, **_given: Any) -> None:
        raise Killed

    edit(office, event, venue="Opera")
    with monkeypatch.context() as patched:
        patched.setattr(mails, "_mail", killed)
        with pytest.raises(Killed):
            services.mails_send()
    MoveNotice.objects.update(next_look_at=event.date - timedelta(days=3650))
    assert sent().keys() == {buyer.email, FRIEND}
    assert HolderNotice.objects.count() == 1


def test_a_former_holder_is_not_told(office: Client, event: Event, api: APIClient, buyer: User) -> None:
    ticket = Ticket.objects.order_by("pk")[0]
    edit(office, event, venue="Opera")
    with db.transaction():
        [owed] = MoveNotice.objects.all()
        holder_mails.holders_owe(owed, now=db.now())
    place = f"/event/reservations/{ticket.reservation_id}/tickets/{ticket.pk}/hand-over/"
    api.post(place, {"email": "next@example.org", "holder": ""}, format="json")
    while services.mails_send():
        pass
    told = [each.to[0] for each in mail.outbox if "New: Opera" in each.body]
    assert sorted(told) == sorted([buyer.email, "next@example.org"])


def test_a_holder_is_told_each_place_although_the_buyers_mail_is_refused(
    office: Client, event: Event, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = EmailBackend.send_messages

    def refuse(self: EmailBackend, messages: Any) -> int:
        if messages[0].to == [buyer.email]:
            raise SMTPRecipientsRefused({buyer.email: (450, b"Greylisted")})
        return int(send(self, messages))

    edit(office, event, venue="Opera")
    with monkeypatch.context() as refusing:
        refusing.setattr(EmailBackend, "send_messages", refuse)
        assert sent().keys() == {FRIEND}
    edit(office, event, venue="Theatre")
    MoveNotice.objects.exclude(next_look_at=None).update(next_look_at=event.date - timedelta(days=3650))
    mail.outbox.clear()
    while services.mails_send():
        pass
    assert {each.to[0] for each in mail.outbox if "New: Theatre" in each.body} == {buyer.email, FRIEND}
    assert not [each for each in mail.outbox if "New: Opera" in each.body]
    assert not MoveNotice.objects.exclude(next_look_at=None).exists()


@pytest.mark.parametrize("is_owed", [False, True])
def test_nobody_is_told_instead_of_an_erased_holder(
    is_owed: bool, office: Client, event: Event, buyer: User, user_make: Callable[..., User]
) -> None:
    holder = user_make(email=FRIEND)
    if not is_owed:
        services.person_erase(user_id=holder.pk)
    edit(office, event, venue="Opera")
    with db.transaction():
        holder_mails.holders_owe(MoveNotice.objects.get(), now=db.now())
    assert HolderNotice.objects.exists() is is_owed
    if is_owed:
        services.person_erase(user_id=holder.pk)
    assert sent().keys() == {buyer.email}
    assert not HolderNotice.objects.exclude(next_look_at=None).exists()


def test_an_erased_holder_is_not_counted_and_not_told_of_a_withdrawal(
    event: Event, api: APIClient, buyer: User, user_make: Callable[..., User]
) -> None:
    assert selectors.people_to_tell(event_id=event.pk) == 2
    services.person_erase(user_id=user_make(email=FRIEND).pk)
    assert selectors.people_to_tell(event_id=event.pk) == 1
    ticket = Ticket.objects.get(handed_to=Ticket.NOBODY)
    place = f"/event/reservations/{ticket.reservation_id}/tickets/{ticket.pk}/hand-over/"
    assert api.post(place, {"email": "next@example.org", "holder": ""}, format="json").status_code == 200
    assert sent().keys() == {buyer.email, "next@example.org"}


def test_holders_are_told_a_cancellation_too(office: Client, event: Event, buyer: User) -> None:
    event.refresh_from_db()
    place = f"/office/events/{event.pk}/cancel/"
    sure = {"version": str(event.version), "message": "The hall is closed.", "sure": "on"}
    assert office.post(place, sure).status_code == 302
    services.cancellations_go_on()
    found = sent()

    assert "The hall is closed." in found[FRIEND].body
    assert "Your ticket is no longer valid" in found[FRIEND].body
    assert calendar_of(found[FRIEND])["STATUS"] == calendar_of(found[buyer.email])["STATUS"] == "CANCELLED"
    assert calendar_of(found[FRIEND])["SEQUENCE"] == "1"


def cancel(office: Client, event: Event) -> None:
    event.refresh_from_db()
    sure = {"version": str(event.version), "message": "", "sure": "on"}
    assert office.post(f"/office/events/{event.pk}/cancel/", sure).status_code == 302


@pytest.mark.parametrize("moved_first", [True, False])
def test_nobody_is_told_another_date_of_a_cancelled_event(
    moved_first: bool, office: Client, event: Event, buyer: User
) -> None:
    """The buyer's money is not back yet, as that of an order in cash: the payment still counts as paid."""
    if moved_first:
        edit(office, event, date_1="20:00:00")
    cancel(office, event)
    if not moved_first:
        assert "can be reached by mail" not in office.get(f"/office/events/{event.pk}/edit/").content.decode()
        edit(office, event, date_1="20:00:00")
    services.mails_send()
    assert "New date or place: " not in str([each.subject for each in mail.outbox])
    assert not MoveNotice.objects.exclude(next_look_at=None).exists()


def test_a_holder_is_not_told_another_date_after_the_cancellation(office: Client, event: Event) -> None:
    edit(office, event, date_1="20:00:00")
    with db.transaction():
        holder_mails.holders_owe(MoveNotice.objects.get(), now=db.now())
    assert HolderNotice.objects.get().kind == HolderNotice.Kind.MOVED  # the control
    cancel(office, event)
    assert FRIEND not in sent()


def test_the_holder_of_a_refunded_ticket_is_not_told(office: Client, event: Event, payment: Payment) -> None:
    Ticket.objects.update(state="revoked", revoked_at=event.date - timedelta(days=3650))
    sure = {"version": str(event.version), "message": "", "sure": "on"}
    office.post(f"/office/events/{event.pk}/cancel/", sure)
    services.cancellations_go_on()
    assert FRIEND not in sent()


def test_the_form_says_beforehand_how_many_are_told(office: Client, event: Event) -> None:
    page = office.get(f"/office/events/{event.pk}/edit/").content.decode()
    assert "2 people who have tickets can be reached by mail." in page
    assert "can be reached by mail" not in office.get("/office/events/new/").content.decode()
