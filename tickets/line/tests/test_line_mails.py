"""A turn is told by mail, once; and a guest's place passes to the account."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.utils import timezone

from overlord.accounts.models import User
from tickets.line import mails, services
from tickets.line.models import Entry, TurnNotice
from tickets.line.tests.lines import check, enter, line_make, logged_in, open_sale, people, serve_all, states
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    return line_make(ticket_type_make, 1, 5)


class TestMail:
    def test_a_mail_tells_each_hold_once_and_opening_it_is_no_look(self, types: list[TicketType]) -> None:
        for buyer_id in people(2):
            enter(types[0], buyer_id)
        open_sale(types)
        serve_all(types[0])
        given = Entry.objects.get(state="given")
        assert [mails.turn_notices_send() for _ in range(2)] == [1, 0]

        [sent] = mail.outbox
        assert sent.to == [given.buyer.email]
        assert sent.subject == f"It is your turn: {types[0].event.name}"
        assert f"/events/{types[0].event_id}/line/" in sent.body
        assert Entry.objects.get(pk=given.pk).looked_at is None
        Entry.objects.update(look_by=timezone.now())
        serve_all(types[0])
        assert states(types[0].event_id) == ["passed", "given"]
        assert mails.turn_notices_send() == 1

    @pytest.mark.parametrize("why", ["ended", "nameless guest", "cancelled"])
    def test_nothing_is_sent_when_there_is_nothing_to_tell(
        self, why: str, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[0], buyer.pk)
        open_sale(types)
        serve_all(types[0])
        if why == "ended":
            Reservation.objects.update(expires_at=timezone.now())
        elif why == "cancelled":
            Inventory.objects.update(paused=True)
            Event.objects.update(status="cancelled")
        else:
            User.objects.filter(pk=buyer.pk).update(is_guest=True, email="", contact_email="")

        assert mails.turn_notices_send() == 0
        assert mail.outbox == []
        assert not TurnNotice.objects.filter(next_look_at__isnull=False).exists()

    def test_a_mail_is_tried_again_when_the_mail_server_does_not_answer(
        self, types: list[TicketType], buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enter(types[0], buyer.pk)
        open_sale(types)
        serve_all(types[0])
        with monkeypatch.context() as broken:

            def fail(_message: object) -> None:
                raise ConnectionRefusedError

            broken.setattr("django.core.mail.EmailMessage.send", fail)
            assert mails.turn_notices_send() == 0
        TurnNotice.objects.filter(next_look_at__isnull=False).update(next_look_at=timezone.now())

        assert mails.turn_notices_send() == 1
        assert TurnNotice.objects.get().attempts == 2


class TestFollow:
    @pytest.fixture
    def guest(self, user_make: Callable[..., User]) -> User:
        return user_make(is_guest=True, email="", verified_email="ada@example.org")

    def test_a_guests_place_passes_to_the_account_at_log_in(
        self, types: list[TicketType], guest: User, buyer: User
    ) -> None:
        enter(types[0], people(1)[0])
        number = enter(types[0], guest.pk)["number"]
        services.entries_follow(guest_id=guest.pk, buyer_id=buyer.pk)

        assert Entry.objects.get(number=number).buyer_id == buyer.pk
        check(types[0].event_id)

    def test_an_account_that_waits_in_the_same_line_keeps_one_place(
        self, types: list[TicketType], guest: User, buyer: User
    ) -> None:
        own = enter(types[0], buyer.pk)["number"]
        enter(types[0], guest.pk)
        services.entries_follow(guest_id=guest.pk, buyer_id=buyer.pk)

        waiting = Entry.objects.filter(state="waiting")
        assert list(waiting.values_list("number", "buyer_id")) == [(own, buyer.pk)]

    def test_tickets_given_to_the_guest_are_shown_to_the_account(
        self, types: list[TicketType], guest: User, buyer: User
    ) -> None:
        enter(types[0], guest.pk)
        open_sale(types)
        serve_all(types[0])
        logged_in(guest, buyer)

        shown = services.entry_get(event_id=types[0].event_id, buyer_id=buyer.pk, now=timezone.now())
        assert shown["state"] == "given"
