"""What a guest has follows to the account at the log-in: unpaid orders whole, also one that is being paid for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from checkout import rules, services
from checkout.models import Payment
from checkout.tests.paying import audit, heal, lapse, states, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of
from tickets.line.models import Entry
from tickets.line.tests.lines import enter, line_make, logged_in, open_sale, serve_all
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def guest(user_make: Callable[..., User]) -> User:
    return user_make(
        is_guest=True, email="", contact_email="ada@example.org", verified_email="ada@example.org"
    )


def paying(guest: User, ticket_type: TicketType, quantity: int = 1, token: str = "ok") -> Payment:
    """Let a guest reserve and press Pay."""
    order_id = claim(guest.pk, ticket_type, quantity).reservation["id"]
    return pressed(guest, order_id, token)


def pressed(buyer: User, order_id: int, token: str = "ok") -> Payment:
    return services.reservation_pay(
        buyer_id=buyer.pk, reservation_id=order_id, gateway="sandbox", token=token
    ).payment


def owners(payment: Payment) -> set[int]:
    """Return the buyers of a payment, of its order, and of the entry that was given it."""
    payment.refresh_from_db()
    order = Reservation.objects.get(pk=payment.reservation_id)
    given = Entry.objects.filter(order_id=order.pk).values_list("buyer_id", flat=True)
    return {payment.buyer_id, order.buyer_id, *given}


class TestPaying:
    def test_an_order_that_is_being_paid_for_buys_for_the_account(
        self, guest: User, buyer: User, ticket_type: TicketType
    ) -> None:
        payment = paying(guest, ticket_type)
        logged_in(guest, buyer)

        assert owners(payment) == {buyer.pk}
        assert work(payment).status == "SUCCESS"
        [mine] = api_of(buyer).get("/payment/payments/").json()["results"]
        assert (mine["id"], mine["payment_status"]) == (payment.pk, "SUCCESS")
        services.mails_send()
        assert [each.to for each in mail.outbox] == [[buyer.email]]
        audit()

    def test_it_follows_while_a_worker_asks_the_gateway(
        self, guest: User, buyer: User, ticket_type: TicketType, settings: Any
    ) -> None:
        settings.SANDBOX_FAULTS = {"confirm": "after"}
        payment = paying(guest, ticket_type)
        assert work(payment).status == "PROCESSING"
        logged_in(guest, buyer)
        settings.SANDBOX_FAULTS = {}
        lapse()

        assert work(payment).status == "SUCCESS"
        assert owners(payment) == {buyer.pk}
        audit()

    def test_a_declined_one_is_a_hold_of_the_account(
        self, guest: User, buyer: User, ticket_type: TicketType
    ) -> None:
        payment = paying(guest, ticket_type, token="card_error")
        logged_in(guest, buyer)
        work(payment)

        assert (states(payment), owners(payment)) == (["held"], {buyer.pk})
        pressed(buyer, payment.reservation_id)
        assert work(payment).status == "SUCCESS"
        audit()

    def test_the_page_of_the_checkout_goes_on(
        self, guest: User, buyer: User, ticket_type: TicketType
    ) -> None:
        payment = paying(guest, ticket_type)
        logged_in(guest, buyer)
        client = Client()
        client.force_login(buyer)
        assert 'data-stage="processing"' in client.get(f"/checkout/{payment.reservation_id}/").text

    def test_a_paid_order_stays_with_the_guest(
        self, guest: User, buyer: User, ticket_type: TicketType
    ) -> None:
        payment = work(paying(guest, ticket_type))
        logged_in(guest, buyer)
        assert owners(payment) == {guest.pk}

    def test_one_whose_type_the_account_holds_stays_whole_with_the_guest(
        self, guest: User, buyer: User, ticket_type: TicketType
    ) -> None:
        claim(buyer.pk, ticket_type)
        payment = paying(guest, ticket_type)
        logged_in(guest, buyer)
        assert owners(payment) == {guest.pk}
        assert work(payment).status == "SUCCESS"
        audit()


@contextmanager
def former_trigger() -> Iterator[None]:
    migration = import_module("tickets.migrations.0078_person_limit_of_a_follower")
    db.rows(migration.FORMER_TRIGGER)
    try:
        yield
    finally:
        db.rows(migration.TRIGGER)


class TestLimit:
    """Nobody gets more tickets than the limit by logging in while a payment is in flight."""

    def beside_a_purchase(self, guest: User, buyer: User, make: Callable[..., TicketType]) -> Payment:
        ticket_type = make(max_per_user=3)
        work(paying(buyer, ticket_type, 2))
        payment = paying(guest, ticket_type, 2)
        logged_in(guest, buyer)
        return payment

    def test_an_order_beyond_the_limit_stays_whole_with_the_guest(
        self, guest: User, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        payment = self.beside_a_purchase(guest, buyer, ticket_type_make)
        assert owners(payment) == {guest.pk}
        assert work(payment).status == "SUCCESS"
        audit()

    def test_control_with_the_former_trigger_it_follows(
        self, guest: User, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        with former_trigger():
            payment = self.beside_a_purchase(guest, buyer, ticket_type_make)
        assert owners(payment) == {buyer.pk}

    def test_an_order_that_follows_counts_for_the_account(
        self, guest: User, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(max_per_user=3)
        payment = paying(guest, ticket_type, 2)
        logged_in(guest, buyer)
        assert owners(payment) == {buyer.pk}

        User.objects.filter(pk=guest.pk).update(contact_email=buyer.email.replace("@", "+again@"))
        with pytest.raises(rules.OverLimit):
            paying(guest, ticket_type, 2)


class TestGiven:
    """An entry of a line that was given tickets belongs to the buyer of these tickets."""

    @pytest.fixture
    def given(self, guest: User, ticket_type_make: Callable[..., TicketType]) -> Entry:
        types = line_make(ticket_type_make, 5)
        enter(types[0], guest.pk)
        open_sale(types)
        serve_all(types[0])
        return Entry.objects.get(state="given")

    def buyers(self, entry: Entry) -> set[int]:
        entry.refresh_from_db()
        assert entry.order is not None
        return {entry.buyer_id, entry.order.buyer_id}

    def test_it_follows_with_its_order(self, given: Entry, guest: User, buyer: User) -> None:
        logged_in(guest, buyer)
        assert self.buyers(given) == {buyer.pk}

    def test_it_follows_with_an_order_that_is_being_paid_for(
        self, given: Entry, guest: User, buyer: User
    ) -> None:
        assert given.order_id is not None
        payment = pressed(guest, given.order_id)
        logged_in(guest, buyer)
        assert self.buyers(given) == owners(payment) == {buyer.pk}

    @pytest.mark.parametrize("why", ["held twice", "paid", "expired"])
    def test_it_stays_with_an_order_that_stays(
        self, why: str, given: Entry, guest: User, buyer: User
    ) -> None:
        assert given.order_id is not None
        order = Reservation.objects.select_related("ticket_type").get(pk=given.order_id)
        if why == "held twice":
            claim(buyer.pk, order.ticket_type)
        elif why == "paid":
            work(pressed(guest, order.pk))
        else:
            Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        logged_in(guest, buyer)

        assert self.buyers(given) == {guest.pk}
        heal()
