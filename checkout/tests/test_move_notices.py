"""The e-mail about an event's new date."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.db.models import Max
from django.test import Client
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Payment
from checkout.services import mails
from checkout.tests.paying import heal, pay, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets import event_operations, pruning
from tickets.event_rules import PlaceAndTime
from tickets.models import Event, MoveNotice, Reservation
from tickets.tests.forms import Form

pytestmark = pytest.mark.django_db(transaction=True)

BEGINS = datetime(2031, 1, 8, 19, 30, tzinfo=UTC)


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Return a payment of two tickets whose receipt was sent."""
    Event.objects.update(date=BEGINS, time_zone="UTC")
    pay(api, payment)
    work(payment)
    services.mails_send()
    mail.outbox.clear()
    return payment


def move(payment: Payment, by: timedelta) -> None:
    with db.transaction():
        edit(payment, by)


def edit(payment: Payment, by: timedelta) -> None:
    event = Event.objects.get(pk=payment.reservation.ticket_type.event_id)
    Event.objects.filter(pk=event.pk).update(date=event.date + by)
    before = PlaceAndTime(
        date=event.date, time_zone=event.time_zone, venue=event.venue, address=event.address
    )
    event_operations.move_notices_owe(event_id=event.pk, before=before, now=db.now())


def test_buyers_are_told_once_of_the_latest_date(paid: Payment, buyer: User) -> None:
    move(paid, timedelta(days=1))
    move(paid, timedelta(days=1))
    assert sorted(together(*[services.mails_send] * 3)) == [0, 0, 1]
    services.mails_send()

    [message] = mail.outbox
    assert message.to == [buyer.email]
    assert "New: Fri, Jan 10, 2031" in message.body
    assert "Before: Wed, Jan 8, 2031" in message.body
    move(paid, timedelta(days=1))
    assert services.mails_send() == 1, "a later move is told too"


@pytest.mark.parametrize("by", [1, -1])
def test_a_buyer_who_is_being_told_a_move_is_told_the_next_one_too(
    paid: Payment, by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(paid, timedelta(days=1))
    message = mails._mail

    def overtaken(owed: Any, **given: Any) -> Any:
        written = message(owed, **given)
        move(paid, timedelta(days=by))
        return written

    with monkeypatch.context() as patched:
        patched.setattr(mails, "_mail", overtaken)
        assert services.mails_send() == 1
    assert services.mails_send() == 1

    first, second = mail.outbox
    assert "New: Thu, Jan 9, 2031" in first.body
    assert "Before: Thu, Jan 9, 2031" in second.body
    assert f"Jan {9 + by}, 2031" in second.body
    assert first.extra_headers["Message-ID"] != second.extra_headers["Message-ID"]
    assert services.mails_send() == 0


def test_nobody_is_told_a_date_that_an_open_edit_is_changing(paid: Payment) -> None:
    move(paid, timedelta(days=1))
    with db.transaction():
        edit(paid, timedelta(days=1))
        assert together(services.mails_send) == [0], "nor does the pass wait for the edit"
    assert services.mails_send() == 1
    [message] = mail.outbox
    assert "New: Fri, Jan 10, 2031" in message.body


def test_a_move_that_was_undone_in_time_is_not_told(paid: Payment) -> None:
    move(paid, timedelta(days=1))
    move(paid, timedelta(days=-1))
    assert services.mails_send() == 0
    assert not MoveNotice.objects.exclude(next_look_at=None).exists()


def test_a_buyer_without_valid_tickets_is_not_told(paid: Payment, user_make: Callable[..., User]) -> None:
    services.refund_request(
        staff_id=user_make(is_staff=True).pk, payment_id=paid.pk, amount_minor=None, return_tickets=False
    )
    heal(rounds=1)
    services.mails_send()
    mail.outbox.clear()
    move(paid, timedelta(days=1))
    assert services.mails_send() == 0
    assert mail.outbox == []


@pytest.mark.parametrize("is_paying", [True, False])
def test_a_buyer_who_reserved_before_a_move_and_pays_is_told_too(
    is_paying: bool, api: APIClient, payment: Payment
) -> None:
    Event.objects.update(date=BEGINS, time_zone="UTC")
    if is_paying:
        pay(api, payment)
    move(payment, timedelta(days=1))
    move(payment, timedelta(days=1))
    if not is_paying:
        pay(api, payment)
    work(payment)
    services.mails_send()
    assert [message.subject[:12] for message in mail.outbox] == ["Your tickets"], "the move is told later"
    mail.outbox.clear()
    outcome(MoveNotice.objects.get())

    assert services.mails_send() == 1
    [message] = mail.outbox
    assert "New: Fri, Jan 10, 2031" in message.body
    assert "Before: Wed, Jan 8, 2031" in message.body


def test_a_buyer_who_has_paid_is_told_of_the_next_move_at_once(api: APIClient, payment: Payment) -> None:
    Event.objects.update(date=BEGINS, time_zone="UTC")
    move(payment, timedelta(days=1))
    pay(api, payment)
    work(payment)
    move(payment, timedelta(days=1))

    assert services.mails_send() == 2
    [moved] = [message for message in mail.outbox if message.subject.startswith("New date")]
    assert "New: Fri, Jan 10, 2031" in moved.body
    assert "Before: Wed, Jan 8, 2031" in moved.body


def test_a_buyer_who_reserved_before_a_move_and_buys_nothing_is_not_told(payment: Payment) -> None:
    move(payment, timedelta(days=1))
    outcome(MoveNotice.objects.get())

    assert services.mails_send() == 0
    assert mail.outbox == []
    assert MoveNotice.objects.exists()
    pruning.rows_prune(before=db.now())
    assert not MoveNotice.objects.exists()


def outcome(notice: MoveNotice) -> None:
    """Let the time come at which the payments for all holds from before a move have an outcome."""
    ends = Reservation.objects.aggregate(ends=Max("expires_at"))["ends"]
    assert notice.next_look_at == ends + event_operations.OUTCOME_AFTER
    MoveNotice.objects.update(next_look_at=db.now())


def test_a_mail_that_waits_or_was_sent_is_not_pruned(paid: Payment) -> None:
    move(paid, timedelta(days=1))
    for _ in range(2):
        pruning.rows_prune(before=db.now())
        assert MoveNotice.objects.count() == 1
        services.mails_send()


def test_a_move_by_the_admins_form_is_told(paid: Payment, user_make: Callable[..., User]) -> None:
    client = Client()
    client.force_login(user_make(is_staff=True, is_superuser=True))
    place = f"/admin/tickets/event/{paid.reservation.ticket_type.event_id}/change/"
    assert Form(client, place).send(description="With dinner").status_code == 302
    assert not MoveNotice.objects.exists()
    assert Form(client, place).send(time_zone="Europe/Lisbon", date_1="20:00:00").status_code == 302
    assert services.mails_send() == 1
    assert "8:00\u202fPM Lisbon time" in mail.outbox[0].body


def test_notices_to_many_buyers_take_three_statements(paid: Payment) -> None:
    with connection.execute_wrapper(lambda execute, sql, *rest: seen.append(sql) or execute(sql, *rest)):
        seen: list[str] = []
        move(paid, timedelta(days=1))
    # One locks the waiting notices, one inserts, and one makes those due that waited for an outcome.
    assert sum("movenotice" in sql for sql in seen) == 3
