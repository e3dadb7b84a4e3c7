"""Tickets that go back on sale without a refund."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from checkout import refund_operations, services
from checkout.models import Payment
from checkout.permissions import Permission as MoneyPermission
from checkout.tests.paying import PAYMENTS, audit, heal, pay, stock, work
from overlord.accounts.models import User
from overlord.kernel import db, redis_client
from realtime import store
from tests.clients import api_of, permit
from tests.system import eventually
from tests.threads import together
from tickets.models import Inventory, Reservation, TicketType
from tickets.permissions import Permission
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk(user_make: Callable[..., User]) -> User:
    return permit(user_make(), Permission.RETURN_TICKETS, MoneyPermission.REFUND)


@pytest.fixture
def staff(clerk: User) -> APIClient:
    return api_of(clerk)


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Return a payment of 30.00 EUR for two tickets."""
    pay(api, payment)
    return work(payment)


@pytest.fixture
def free(api: APIClient, ticket_type_make: Callable[..., TicketType]) -> Reservation:
    """Return a reservation of two tickets that cost nothing."""
    held = reserve(api, ticket_type_make(price_minor=0), 2).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    pay(api, Payment.objects.get(pk=made["id"]))
    return Reservation.objects.get(pk=held["id"])


def give_back(staff: APIClient, reservation_id: int) -> Any:
    return staff.post(f"/event/reservations/{reservation_id}/return/")


def refund_all(clerk: User, payment: Payment, *, return_tickets: bool = False) -> None:
    services.refund_request(
        staff_id=clerk.pk, payment_id=payment.pk, amount_minor=None, return_tickets=return_tickets
    )


class TestAllowed:
    def test_free_tickets_return(self, staff: APIClient, free: Reservation) -> None:
        answer = give_back(staff, free.pk)

        assert (answer.status_code, answer.json()["state"], answer.json()["validated"]) == (
            200,
            "released",
            False,
        )
        assert (Inventory.objects.get().sold, Inventory.objects.get().held) == (0, 0)
        audit()

    def test_refunded_tickets_return(self, staff: APIClient, clerk: User, paid: Payment) -> None:
        refund_all(clerk, paid)
        heal()
        assert stock(paid) == (0, 2, 0)

        assert give_back(staff, paid.reservation_id).status_code == 200
        assert stock(paid) == (0, 0, 0)
        audit()

    def test_a_second_return_changes_nothing(self, staff: APIClient, free: Reservation) -> None:
        first = give_back(staff, free.pk).json()
        before = Inventory.objects.values().get()

        assert (give_back(staff, free.pk).status_code, give_back(staff, free.pk).json()) == (200, first)
        assert Inventory.objects.values().get() == before

    def test_live_pages_show_a_return(self, staff: APIClient, free: Reservation, api: APIClient) -> None:
        event = f"/event/events/{free.ticket_type.event_id}/"
        assert APIClient().get(event).json()["tickets"][0]["sold"] == 2
        redis_client.connection().flushall()

        give_back(staff, free.pk)
        assert APIClient().get(event).json()["tickets"][0]["sold"] == 0
        marked = {mark.stream for mark in store.marks_take(limit=100)}
        assert {f"event.{free.ticket_type.event_id}", f"me.{free.buyer_id}"} <= marked
        gone = api.get(f"/event/reservations/{free.pk}/")
        assert (gone.status_code, gone.json()["state"]) == (410, "released")


class TestRefused:
    def test_paid_tickets_must_be_refunded_first(self, staff: APIClient, clerk: User, paid: Payment) -> None:
        assert give_back(staff, paid.reservation_id).json()["code"] == "refund_first"
        services.refund_request(
            staff_id=clerk.pk, payment_id=paid.pk, amount_minor=1000, return_tickets=False
        )
        heal()
        assert give_back(staff, paid.reservation_id).json()["code"] == "refund_first"
        refund_all(clerk, paid)  # asked for, but not paid back yet
        assert give_back(staff, paid.reservation_id).json()["code"] == "refund_first"
        assert stock(paid) == (0, 2, 2000)

    def test_only_a_validated_reservation_returns(
        self, staff: APIClient, api: APIClient, payment: Payment
    ) -> None:
        def code() -> tuple[int, str]:
            answer = give_back(staff, payment.reservation_id)
            return answer.status_code, answer.json()["code"]

        assert code() == (409, "not_returnable")  # held
        pay(api, payment)
        assert code() == (409, "not_returnable")  # being paid for
        pay(api, payment, "card_error")
        Reservation.objects.update(state="held")
        api.delete(f"/event/reservations/{payment.reservation_id}/")
        assert Reservation.objects.get().state == "released"
        assert code() == (409, "not_returnable")  # released by its buyer, before it was paid for

    def test_a_reservation_that_does_not_exist_is_not_found(self, staff: APIClient) -> None:
        assert give_back(staff, 999_999).status_code == 404
        assert give_back(staff, 2**63 - 1).status_code == 404
        assert give_back(staff, 2**63).status_code == 404

    def test_control_without_the_check_paid_tickets_would_return(
        self, staff: APIClient, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("checkout.rules.check_returnable", lambda **_: None)
        give_back(staff, paid.reservation_id)
        with pytest.raises(AssertionError):
            audit()


class TestRaces:
    def test_of_many_at_once_the_tickets_return_once(self, clerk: User, free: Reservation) -> None:
        results = together(
            *[lambda: services.reservation_return(staff_id=clerk.pk, reservation_id=free.pk).state] * 6
        )

        assert results == ["released"] * 6
        assert Inventory.objects.get().sold == 0
        audit()

    @pytest.mark.parametrize("return_tickets", [True, False])
    def test_beside_the_refund_the_tickets_return_at_most_once(
        self, clerk: User, paid: Payment, return_tickets: bool
    ) -> None:
        refund_all(clerk, paid, return_tickets=return_tickets)
        refund = paid.refunds.get().pk

        results = together(
            lambda: services.refund_process(refund_id=refund),
            *[lambda: services.reservation_return(staff_id=clerk.pk, reservation_id=paid.reservation_id)] * 4,
        )
        codes = {getattr(result, "code", "") for result in results}
        assert codes <= {"", "refund_first"}, results
        heal()
        if not return_tickets:
            services.reservation_return(staff_id=clerk.pk, reservation_id=paid.reservation_id)
        assert stock(paid) == (0, 0, 0)
        audit()

    def test_a_return_waits_for_the_refund_that_is_being_settled(
        self, clerk: User, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Let the refund have the payment's lock when the return begins."""
        refund_all(clerk, paid, return_tickets=True)
        refund = paid.refunds.get().pk
        returned: list[Reservation] = []
        waiters: list[Thread] = []
        settle = refund_operations.refund_succeed

        def settled(**given: Any) -> None:
            waiters.append(
                _start(
                    lambda: returned.append(
                        services.reservation_return(staff_id=clerk.pk, reservation_id=paid.reservation_id)
                    )
                )
            )
            _wait_for_a_lock()
            settle(**given)

        monkeypatch.setattr(refund_operations, "refund_succeed", settled)
        services.refund_process(refund_id=refund)
        waiters[0].join(timeout=60)
        assert [each.state for each in returned] == ["released"]
        assert stock(paid) == (0, 0, 0)
        audit()


def _start(action: Callable[[], Any]) -> Thread:
    def run() -> None:
        try:
            action()
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    return thread


def _wait_for_a_lock() -> None:
    """Wait until another session of this database waits for a lock."""
    waits = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
    eventually(lambda: db.rows(waits, [])[0]["n"])


class TestPages:
    @pytest.fixture
    def browser(self, clerk: User) -> Client:
        client = Client(headers={"accept": "text/html"})
        client.force_login(clerk)
        return client

    def test_staff_find_a_reservation_and_return_it(self, browser: Client, free: Reservation) -> None:
        place = "/reservations/return/"
        assert "Find reservation" in browser.get(place).text
        found = browser.get(place, {"reservation": free.pk}).text
        assert free.buyer.username in found
        assert "Put back on sale" in found
        assert Inventory.objects.get().sold == 2

        done = browser.post(place, {"reservation": free.pk}, follow=True)
        assert f"The tickets of reservation {free.pk} are back on sale." in done.text
        assert "Put back on sale" not in done.text
        assert Inventory.objects.get().sold == 0

    def test_a_guest_is_named_as_the_guest_said(self, browser: Client, free: Reservation) -> None:
        guest = User.objects.filter(pk=free.buyer_id)
        for told, shown in [
            ({"contact_name": "Zoe Marsh", "contact_email": "zoe@example.org"}, "Zoe Marsh"),
            ({"contact_name": "", "contact_email": "zoe@example.org"}, "zoe@example.org"),
            ({"contact_name": "", "contact_email": ""}, "No name"),
        ]:
            guest.update(is_guest=True, username="guest-99d2c4c4", email="", **told)
            found = browser.get("/reservations/return/", {"reservation": free.pk}).text
            assert f"<dd>{shown}</dd>" in found
            assert "guest-99d2c4c4" not in found

    def test_a_refused_return_names_the_reason(self, browser: Client, paid: Payment) -> None:
        place = "/reservations/return/"
        found = browser.get(place, {"reservation": paid.reservation_id}).text
        assert "Refund the whole payment first." in found
        assert f'href="/office/orders/{paid.reservation_id}/refund/"' in found
        assert "Put back on sale" not in found
        sent = browser.post(place, {"reservation": paid.reservation_id}, follow=True)
        assert "Refund the whole payment first." in sent.text
        assert stock(paid) == (0, 2, 3000)

    @pytest.mark.parametrize(
        ("number", "status"), [("999999", 404), ("x", 400), ("1_0", 400), (str(2**63), 400), ("-1", 400)]
    )
    def test_an_unknown_number_is_refused(self, browser: Client, number: str, status: int) -> None:
        answer = browser.get("/reservations/return/", {"reservation": number})
        assert (answer.status_code, "Please check the form" in answer.text) == (status, True)

    def test_the_admin_asks_first(self, browser: Client, free: Reservation) -> None:
        place = f"/admin/tickets/reservation/{free.pk}/return/"
        assert place in browser.get("/admin/tickets/reservation/").text
        assert "Put back on sale" in browser.get(place).text
        assert Inventory.objects.get().sold == 2
        assert "are back on sale" in browser.post(place, follow=True).text
        assert Inventory.objects.get().sold == 0

    def test_the_admin_names_the_reason_of_a_refused_return(self, browser: Client, paid: Payment) -> None:
        place = f"/admin/tickets/reservation/{paid.reservation_id}/return/"
        assert "Refund the whole payment first." in browser.post(place, follow=True).text
        assert stock(paid) == (0, 2, 3000)
