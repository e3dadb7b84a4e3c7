"""One payment for an order of three ticket types: always all of it or nothing."""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import operations, pages, projections, rules, services
from checkout.models import Incident, Payment, Refund
from checkout.tests.paying import (
    PAYMENTS,
    audit,
    charges,
    expire,
    heal,
    lapse,
    lines,
    pay,
    reach_deadline,
    states,
    work,
)
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.rendering import dumps
from tests.clients import api_of
from tests.live_contract import check
from tests.threads import together
from tickets import services as tickets
from tickets.admission.models import Ticket
from tickets.limits import of_buyer
from tickets.models import Inventory, Reservation, TicketType
from tickets.sql import CLAIM_ORDER
from tickets.tests.reserving import RESERVATIONS, reserve, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = f"{RESERVATIONS}batch/"


@pytest.fixture
def payment(order_payment: Payment) -> Payment:
    return order_payment


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> APIClient:
    return api_of(user_make(is_staff=True, is_superuser=True))


def stocks(types: list[TicketType]) -> list[tuple[int, int, int]]:
    found = {each.pk: each for each in Inventory.objects.all()}
    return [(found[each.pk].held, found[each.pk].sold, int(found[each.pk].revenue_minor)) for each in types]


def shown(api: APIClient, payment: Payment) -> Any:
    return api.get(f"{PAYMENTS}{payment.pk}/").json()


class TestPaying:
    def test_one_payment_sells_all(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        assert pay(api, payment).status_code == 202
        assert states(payment) == ["paying"] * 3
        work(payment)

        assert states(payment) == ["validated"] * 3
        assert stocks(order_types) == [(0, 2, 3000), (0, 2, 2000), (0, 2, 2)]
        assert charges(payment) == ["succeeded"]
        audit()

    @pytest.mark.parametrize("nth", [0, 1, 2])
    def test_each_of_its_reservations_leads_to_the_one_payment(
        self, nth: int, api: APIClient, payment: Payment
    ) -> None:
        asked = lines(payment)[nth].pk

        again = api.post(PAYMENTS, {"reservation_id": asked}, format="json")

        assert (again.status_code, again.json()["id"]) == (200, payment.pk)
        assert again.json()["reservation"] == payment.reservation_id
        assert again.json()["reservations"] == [each.pk for each in lines(payment)]
        assert again.json()["full_price"] == "50.02"

    def test_the_price_of_an_order_is_read_when_it_is_paid(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        first, second, third = lines(payment)
        api.patch(f"{RESERVATIONS}{second.pk}/", {"amount": 3}, format="json")
        api.delete(f"{RESERVATIONS}{first.pk}/")
        more = {"items": [{"ticket_type": order_types[0].pk, "amount": 1}], "order": first.pk}
        added = api.post(BATCH, more, format="json").json()["reservations"][-1]["id"]
        assert shown(api, payment)["full_price"] == "45.02"
        assert shown(api, payment)["reservations"] == [second.pk, third.pk, added]

        pay(api, payment)
        assert work(payment).amount_minor == 4502

        assert shown(api, payment)["amount"] == "45.02"
        assert shown(api, payment)["reservations"] == [second.pk, third.pk, added]
        assert states(payment) == ["released", "validated", "validated", "validated"]
        audit()

    @pytest.mark.parametrize("how", ["released", "expired"])
    def test_an_order_that_ended_unpaid_shows_its_latest_price(
        self, how: str, api: APIClient, buyer: User, payment: Payment
    ) -> None:
        """The payment was made when the order cost 50.02."""
        first, second, third = lines(payment)
        api.patch(f"{RESERVATIONS}{first.pk}/", {"amount": 3}, format="json")
        for each in (first, second, third) if how == "released" else ():
            api.delete(f"{RESERVATIONS}{each.pk}/")
        if how == "expired":
            expire(payment)
            tickets.due_holds_sweep()
        page = Client()
        page.force_login(buyer)

        assert set(states(payment)) == {how}
        assert shown(api, payment)["full_price"] == "65.02"
        for place in (f"/checkout/{first.pk}/", "/me/"):
            assert "€65.02" in page.get(place).content.decode()

    @pytest.mark.parametrize("change", ["more", "fewer", "released"])
    def test_a_price_that_the_buyer_was_not_shown_is_not_charged(
        self, change: str, api: APIClient, payment: Payment
    ) -> None:
        path, seen = f"{PAYMENTS}{payment.pk}/pay/", shown(api, payment)["full_price"]
        hold = f"{RESERVATIONS}{lines(payment)[0].pk}/"
        if change == "released":
            api.delete(hold)
        else:
            api.patch(hold, {"amount": 3 if change == "more" else 1}, format="json")
        before = states(payment)

        refused = api.post(path, {"token": "ok", "price": seen}, format="json")

        now = shown(api, payment)["full_price"]
        assert (refused.status_code, refused.json()["code"]) == (409, "order_changed")
        assert (refused.json()["price"], refused.json()["currency"]) == (now, "EUR")
        assert (shown(api, payment)["payment_status"], states(payment)) == ("NOT_STARTED", before)
        assert api.post(path, {"token": "ok", "price": now}, format="json").status_code == 202
        work(payment)
        assert shown(api, payment)["amount"] == now
        audit()

    def test_without_a_price_it_is_paid_at_what_it_costs(self, api: APIClient, payment: Payment) -> None:
        """The control of the test above."""
        api.patch(f"{RESERVATIONS}{lines(payment)[0].pk}/", {"amount": 3}, format="json")

        assert pay(api, payment).status_code == 202

        assert work(payment).amount_minor == 6502

    @pytest.mark.parametrize("price", ["50,02", "50.", "-1", "1e3", "x", "", " ", 50.02, None])
    def test_a_price_that_is_no_amount_is_invalid(
        self, price: object, api: APIClient, payment: Payment
    ) -> None:
        refused = api.post(f"{PAYMENTS}{payment.pk}/pay/", {"token": "ok", "price": price}, format="json")

        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        assert list(refused.json()["errors"]) == ["price"]
        assert states(payment) == ["held"] * 3

    @pytest.mark.parametrize("price", ["15", "15.0", "15.000"])
    def test_the_same_price_may_have_other_zeros(
        self, price: str, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        held = reserve(api, ticket_type_make(price_minor=1500)).json()
        made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()

        answer = api.post(f"{PAYMENTS}{made['id']}/pay/", {"token": "ok", "price": price}, format="json")

        assert answer.status_code == 202

    def test_each_reservation_keeps_its_price_and_currency(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        TicketType.objects.update(price_minor=99_900)

        pay(api, payment)

        assert work(payment).amount_minor == 5002
        audit()

    @pytest.mark.parametrize("price_minor", [1000, 0])
    def test_each_answer_says_what_is_read_after_it(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType], price_minor: int
    ) -> None:
        first = ticket_type_make(price_minor=price_minor)
        types = [first, *(ticket_type_make(event=first.event, price_minor=price_minor) for _ in range(2))]
        items = [{"ticket_type": each.pk, "amount": 1} for each in types]
        order = api.post(BATCH, {"items": items}, format="json").json()
        api.delete(f"{RESERVATIONS}{order['reservations'][1]['id']}/")

        made = api.post(PAYMENTS, {"reservation_id": order["order"]}, format="json").json()
        payment = Payment.objects.get(pk=made["id"])
        assert made == shown(api, payment)
        assert len(made["reservations"]) == 2

        assert pay(api, payment).json() == shown(api, payment)

    def test_a_price_of_nothing_is_settled_at_once(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first = ticket_type_make(price_minor=0)
        second = ticket_type_make(event=first.event, price_minor=0)
        items = [{"ticket_type": each.pk, "amount": 1} for each in (first, second)]
        order = api.post(BATCH, {"items": items}, format="json").json()["order"]
        made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()

        answer = api.post(f"{PAYMENTS}{made['id']}/pay/", {"token": "x"}, format="json").json()

        assert (answer["payment_status"], answer["amount"]) == ("SUCCESS", "0.00")
        assert set(Reservation.objects.values_list("state", flat=True)) == {"validated"}
        audit()

    def test_the_rest_of_an_order_after_a_decline_may_cost_nothing(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first = ticket_type_make(price_minor=1500)
        second = ticket_type_make(event=first.event, price_minor=0)
        items = [{"ticket_type": each.pk, "amount": 1} for each in (first, second)]
        order = api.post(BATCH, {"items": items}, format="json").json()["order"]
        payment = Payment.objects.get(
            pk=api.post(PAYMENTS, {"reservation_id": order}, format="json").json()["id"]
        )
        pay(api, payment, "card_error")
        assert work(payment).status == "FAILURE"
        api.delete(f"{RESERVATIONS}{order}/")

        assert pay(api, payment).json()["payment_status"] == "SUCCESS"
        assert states(payment) == ["released", "validated"]
        audit()

    def test_while_it_is_paid_nothing_of_it_changes(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        line = lines(payment)[1].pk
        pay(api, payment)

        for answer in (
            api.delete(f"{RESERVATIONS}{line}/"),
            api.patch(f"{RESERVATIONS}{line}/", {"amount": 1}, format="json"),
            pay(api, payment),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_progress")
        expire(payment)
        assert tickets.due_holds_sweep() == 0

    def test_another_buyers_order_is_not_found(
        self, payment: Payment, user_make: Callable[..., User]
    ) -> None:
        other = api_of(user_make())

        for line in lines(payment):
            answer = other.post(PAYMENTS, {"reservation_id": line.pk}, format="json")
            assert answer.status_code == 404

    def test_the_receipt_lists_all(self, paid: Payment) -> None:
        services.mails_send()

        [message] = mail.outbox
        for line in lines(paid):
            assert f"{line.quantity} x {line.ticket_type.name}" in message.body
        assert "€50.02" in message.body


class TestTheDatabase:
    def test_a_payment_names_the_first_reservation_of_its_order(self, payment: Payment) -> None:
        second = lines(payment)[1]

        for act in (
            lambda: Payment.objects.filter(pk=payment.pk).update(reservation=second),
            lambda: Payment.objects.create(
                buyer=payment.buyer,
                reservation=second,
                amount_minor=1,
                currency="EUR",
                gateway="sandbox",
                created=timezone.now(),
            ),
        ):
            with pytest.raises(IntegrityError) as error:
                act()
            assert db.violated(error.value) == "payment_of_a_lead"

    def test_an_order_has_one_payment_in_flight(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)
        now = timezone.now()

        with pytest.raises(IntegrityError) as error:
            Payment.objects.create(
                buyer=payment.buyer,
                reservation=payment.reservation,
                status="PENDING",
                amount_minor=1,
                currency="EUR",
                gateway="sandbox",
                created=now,
                deadline=now,
                next_look_at=now,
            )

        assert db.violated(error.value) == "payment_one_in_flight_per_reservation"


class TestExpiry:
    def test_an_expired_order_names_what_has_expired(self, api: APIClient, payment: Payment) -> None:
        expire(payment)
        [first, *_] = [each.ticket_type_id for each in lines(payment)]
        tickets.due_holds_release(ticket_type=first)  # the others are due, but not released yet

        answer = pay(api, payment)

        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["state"]) == (
            410,
            "reservation_expired",
            "expired",
        )
        assert problem["reservations"] == [each.pk for each in lines(payment)]
        assert charges(payment) == []

    def test_an_order_is_never_charged_in_part(self, api: APIClient, payment: Payment) -> None:
        one = lines(payment)[2]
        Reservation.objects.filter(pk=one.pk).update(expires_at=timezone.now())

        answer = pay(api, payment)

        assert (answer.status_code, answer.json()["reservations"]) == (410, [one.pk])
        assert states(payment) == ["held"] * 3
        assert charges(payment) == []

    def test_a_released_order_is_gone(self, api: APIClient, payment: Payment) -> None:
        for line in lines(payment):
            api.delete(f"{RESERVATIONS}{line.pk}/")

        answer = pay(api, payment)

        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["state"]) == (
            410,
            "reservation_expired",
            "released",
        )
        assert "was released" in problem["detail"]


class TestAddingBesidePaying:
    """An addition while an order is being paid is paid too, or refused. It never stays unpaid in a paid order."""

    def add_and_pay(self, payment: Payment, types: list[TicketType]) -> list[object]:
        """Pay for an order while an addition to it has not committed yet."""
        more = TicketType.objects.create(event=types[0].event, name="More", price_minor=5)
        Inventory.objects.create(ticket_type=more, capacity=9, closes_at=more.event.date)
        added = threading.Event()
        wanted = {
            "buyer": payment.buyer_id, "ticket_type": more.pk, **of_buyer(),
            "ticket_types": [more.pk], "quantities": [1],
            "order": payment.reservation_id, "key": None, "hold_seconds": 900,
        }  # fmt: skip

        def add() -> None:
            with db.transaction():
                assert len(db.rows(CLAIM_ORDER, wanted)) == 1
                added.set()
                waiting_for_a_lock(1)

        def start() -> Payment:
            added.wait(30)
            begun = services.payment_pay(buyer_id=payment.buyer_id, payment_id=payment.pk, token="ok")
            return begun.payment

        return together(add, start)

    def test_an_addition_before_the_payment_is_paid(
        self, payment: Payment, order_types: list[TicketType]
    ) -> None:
        assert isinstance(self.add_and_pay(payment, order_types)[1], Payment)
        work(payment)

        assert (payment.amount_minor, states(payment)) == (5007, ["validated"] * 4)
        audit()

    def test_control_with_a_lock_in_one_statement_an_addition_stays_unpaid(
        self, payment: Payment, order_types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lock(*, payment_id: int, buyer_id: int) -> tuple[Payment, list[Reservation], datetime]:
            locked = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
            return locked, list(lines(payment).select_for_update(no_key=True)), timezone.now()

        monkeypatch.setattr(operations, "payment_order_lock", lock)

        self.add_and_pay(payment, order_types)

        assert states(payment) == ["paying"] * 3 + ["held"]

    def test_once_it_is_being_paid_nothing_is_added(
        self, api: APIClient, payment: Payment, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        more = ticket_type_make(event=lines(payment)[0].ticket_type.event)
        pay(api, payment)

        body = {"items": [{"ticket_type": more.pk, "amount": 1}], "order": payment.reservation_id}
        answer = api.post(BATCH, body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_progress")


class TestFailure:
    def test_a_decline_gives_all_back_and_all_can_be_paid_again(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        pay(api, payment, "card_error")
        assert work(payment).status == "FAILURE"

        assert states(payment) == ["held"] * 3
        assert list(Inventory.objects.values_list("payments_failed", flat=True)) == [1, 1, 1]
        pay(api, payment)
        assert work(payment).status == "SUCCESS"
        assert sum(Inventory.objects.values_list("reservations_paid", flat=True)) == 3
        audit()

    def test_after_its_time_a_decline_expires_all(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        pay(api, payment, "card_error")
        expire(payment)
        work(payment)

        assert states(payment) == ["expired"] * 3
        assert stocks(order_types) == [(0, 0, 0)] * 3
        audit()

    def test_of_two_tries_the_latest_counts(self, api: APIClient, payment: Payment) -> None:
        """Leave out a reservation that was in an earlier try and was released since."""
        first, second, third = lines(payment)
        pay(api, payment, "card_error")
        work(payment)
        api.delete(f"{RESERVATIONS}{second.pk}/")
        pay(api, payment)
        work(payment)

        assert states(payment) == ["validated", "released", "validated"]
        assert shown(api, payment)["reservations"] == [first.pk, third.pk]
        audit()


def abandon(api: APIClient, payment: Payment, token: str) -> None:
    """Let the gateway be silent until the payment is abandoned and its order has expired."""
    pay(api, payment, token)
    with_silence = {"confirm": "after", "retrieve": "before", "cancel": "before"}
    with override_settings(SANDBOX_FAULTS=with_silence):
        work(payment)
        expire(payment)
        reach_deadline(payment, after=rules.CAP)
        lapse()
        work(payment)
    payment.refresh_from_db()
    assert (payment.status, states(payment)) == ("ABANDONED", ["expired"] * 3)


class TestLateMoney:
    def test_late_money_gets_all_tickets(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        abandon(api, payment, "ok")
        heal()

        payment.refresh_from_db()
        assert (payment.status, states(payment)) == ("SUCCESS", ["validated"] * 3)
        assert stocks(order_types) == [(0, 2, 3000), (0, 2, 2000), (0, 2, 2)]
        audit()

    @pytest.mark.parametrize("missing", [0, 1, 2])
    def test_late_money_without_room_is_refunded_whole(
        self, missing: int, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        abandon(api, payment, "ok")
        Inventory.objects.filter(pk=order_types[missing].pk).update(capacity=1)
        heal()

        payment.refresh_from_db()
        assert (payment.status, payment.refunded_minor) == ("REFUNDED", 5002)
        assert states(payment) == ["expired"] * 3
        assert stocks(order_types) == [(0, 0, 0)] * 3
        assert "late_money" in Incident.objects.values_list("cause", flat=True)
        audit()

    def test_tickets_held_for_longer_than_the_gateway_was_silent_are_sold_too(
        self, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        abandon(api, payment, "ok")
        now = timezone.now()
        lines(payment).update(state="held", ended_at=None, expires_at=now + timedelta(hours=1))
        Inventory.objects.filter(ticket_type__event=order_types[0].event).update(held=2)
        heal()

        payment.refresh_from_db()
        assert (payment.status, states(payment)) == ("SUCCESS", ["validated"] * 3)
        audit()

    @pytest.mark.parametrize("change", ["released", "changed"])
    def test_an_order_that_the_buyer_changed_meanwhile_is_refunded_whole(
        self, change: str, api: APIClient, payment: Payment, order_types: list[TicketType]
    ) -> None:
        abandon(api, payment, "ok")
        now = timezone.now()
        lines(payment).update(state="held", ended_at=None, expires_at=now + timedelta(hours=1))
        Inventory.objects.filter(ticket_type__event=order_types[0].event).update(held=2)
        line = f"{RESERVATIONS}{lines(payment)[1].pk}/"
        answer = api.delete(line) if change == "released" else api.patch(line, {"amount": 1}, format="json")
        assert answer.status_code in (200, 204)
        heal()

        payment.refresh_from_db()
        assert (payment.status, payment.refunded_minor) == ("REFUNDED", 5002)
        assert "validated" not in states(payment)
        audit()

    def test_nobody_was_charged(self, api: APIClient, payment: Payment) -> None:
        abandon(api, payment, "timeout_uncharged")
        heal()

        payment.refresh_from_db()
        assert (payment.status, states(payment)) == ("FAILURE", ["expired"] * 3)
        audit()


class TestRefunds:
    def refund(self, staff: APIClient, payment: Payment, **body: Any) -> Any:
        answer = staff.post(f"{PAYMENTS}{payment.pk}/refund/", body, format="json")
        heal()
        payment.refresh_from_db()
        return answer

    def test_the_whole_order_returns(
        self, staff: APIClient, paid: Payment, order_types: list[TicketType]
    ) -> None:
        assert self.refund(staff, paid, return_tickets=True).status_code == 202

        assert (paid.status, states(paid)) == ("REFUNDED", ["released"] * 3)
        assert stocks(order_types) == [(0, 0, 0)] * 3
        audit()

    def test_parts_are_taken_from_each_type_in_proportion(
        self, staff: APIClient, paid: Payment, order_types: list[TicketType]
    ) -> None:
        for amount in ("25.01", "0.01", "10.00"):
            self.refund(staff, paid, amount=amount)
            assert sum(revenue for _, _, revenue in stocks(order_types)) == 5002 - paid.refunded_minor
            audit()
        assert states(paid) == ["validated"] * 3
        self.refund(staff, paid, return_tickets=True)

        assert (paid.status, states(paid)) == ("REFUNDED", ["released"] * 3)
        assert stocks(order_types) == [(0, 0, 0)] * 3
        audit()

    def test_refunds_without_a_return_keep_the_seats_sold_and_revoke_the_tickets(
        self, staff: APIClient, paid: Payment, order_types: list[TicketType]
    ) -> None:
        assert list(Ticket.objects.values_list("state", flat=True)) == ["valid"] * 6
        self.refund(staff, paid)

        assert (paid.status, states(paid)) == ("REFUNDED", ["validated"] * 3)
        assert stocks(order_types) == [(0, 2, 0)] * 3
        assert list(Ticket.objects.values_list("state", flat=True)) == ["revoked"] * 6
        audit()

    @pytest.mark.parametrize("totals", [[1], [1500, 1000, 1], [1, 1, 1, 1, 1, 1, 1], [0, 5, 0], [3, 0, 7919]])
    def test_shares_add_up_at_every_step(self, totals: list[int]) -> None:
        charged, before = sum(totals), 0
        left = list(totals)
        for amount in [1] * min(charged, 50) + [charged - min(charged, 50)]:
            shares = rules.refund_shares(totals, before=before, amount=amount)
            assert sum(shares) == amount
            left = [each - share for each, share in zip(left, shares, strict=True)]
            assert all(each >= 0 for each in left)
            before += amount
        assert left == [0] * len(totals)


class TestLive:
    def test_the_buyers_own_frame_shows_the_order(self, buyer: User, payment: Payment) -> None:
        frame = projections.project_buyers([buyer.pk], now=timezone.now())[buyer.pk]

        assert {each["order"] for each in frame["reservations"]} == {payment.reservation_id}
        [shown] = frame["payments"]
        assert shown["reservations"] == [each.pk for each in lines(payment)]
        data = json.loads(dumps(frame))
        sent = {"type": "snapshot", "stream": f"me.{buyer.pk}", "version": 1, "data": data}
        check({**sent, "server_time": "2026-01-01T00:00:00Z"})

    def test_the_frame_shows_the_payment_without_the_first_reservation(
        self, api: APIClient, buyer: User, payment: Payment
    ) -> None:
        api.delete(f"{RESERVATIONS}{payment.reservation_id}/")
        Reservation.objects.exclude(ended_at=None).update(ended_at=timezone.now() - timedelta(hours=1))

        frame = projections.project_buyers([buyer.pk], now=timezone.now())[buyer.pk]

        assert len(frame["reservations"]) == 2
        assert [each["id"] for each in frame["payments"]] == [payment.pk]

    def test_the_queries_do_not_grow_with_the_orders(
        self, buyer: User, payment: Payment, django_assert_max_num_queries: Any
    ) -> None:
        with django_assert_max_num_queries(4):
            projections.project_buyers([buyer.pk], now=timezone.now())


class TestThePage:
    @pytest.fixture
    def page(self, buyer: User) -> Client:
        browser = Client(headers={"accept": "text/html,*/*"})
        browser.force_login(buyer)
        return browser

    @pytest.mark.parametrize("nth", [0, 1])
    def test_the_page_shows_and_pays_the_whole_order(self, nth: int, page: Client, payment: Payment) -> None:
        place = f"/checkout/{lines(payment)[nth].pk}/"
        shown = page.get(place).content.decode()

        assert all(line.ticket_type.name in shown for line in lines(payment))
        assert "Pay €50.02" in shown
        page.post(f"{place}pay/", {"token": "ok", "price": "50.02"})
        work(payment)
        assert "Paid: €50.02" in page.get(place).content.decode()
        assert states(payment) == ["validated"] * 3

    def test_a_price_that_has_changed_is_not_charged(
        self, api: APIClient, page: Client, payment: Payment
    ) -> None:
        place = f"/checkout/{payment.reservation_id}/"
        api.patch(f"{RESERVATIONS}{lines(payment)[0].pk}/", {"amount": 4}, format="json")

        answer = page.post(f"{place}pay/", {"token": "ok", "price": "50.02"})

        assert answer.status_code == 409
        assert "Your order and its price have changed" in answer.content.decode()
        assert "Pay €80.02" in answer.content.decode()
        assert states(payment) == ["held"] * 3

    def test_my_tickets_and_the_checkout_say_which_versions_they_show(
        self, page: Client, buyer: User, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Require the same versions as in a frame, because the script compares them."""
        frame = projections.project_buyers([buyer.pk], now=timezone.now())[buyer.pk]
        [paid] = frame["payments"]
        said = page.get("/me/").context["versions"]

        assert said["reservations"] == {each["id"]: each["version"] for each in frame["reservations"]}
        assert said["payments"] == {payment.reservation_id: [paid["id"], paid["version"]]}
        assert said["left_out"] == 0

        said = page.get(f"/checkout/{payment.reservation_id}/").context["versions"]
        assert said["reservations"] == {each["id"]: each["version"] for each in frame["reservations"]}
        assert said["payments"] == {payment.reservation_id: [paid["id"], paid["version"]]}
        assert said["held"] == {each["id"]: each["amount"] for each in frame["reservations"]}

        monkeypatch.setattr(pages, "SHOWN", 2)
        said = page.get("/me/").context["versions"]
        oldest = min(each.pk for each in lines(payment))
        assert set(said["reservations"]) == {each.pk for each in lines(payment)} - {oldest}
        assert oldest <= said["left_out"] < min(said["reservations"])


class TestMoreThanOneOrder:
    def test_each_is_paid_by_itself(
        self, api: APIClient, payment: Payment, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        other = reserve(api, ticket_type_make()).json()
        second = Payment.objects.get(
            pk=api.post(PAYMENTS, {"reservation_id": other["id"]}, format="json").json()["id"]
        )
        pay(api, payment)
        work(payment)

        assert second.reservation_id == other["order"]
        assert states(second) == ["held"]
        assert not Refund.objects.exists()
        audit()
