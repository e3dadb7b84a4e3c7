"""Payments, with the worker's tasks called directly."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import operations, rules, services
from checkout.gateways import sandbox
from checkout.models import Payment, Receipt
from checkout.services import processing
from checkout.tests.paying import PAYMENTS, charges, expire, lapse, pay, stock, work
from overlord.accounts.models import User
from overlord.kernel import redis_client
from overlord.kernel.queues import Queue, queue_length
from tests.clients import api_of
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.services import due_holds_sweep
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


class TestThePathToSuccess:
    def test_each_step_to_success_is_shown(self, api: APIClient, payment: Payment) -> None:
        shown = api.get(f"{PAYMENTS}{payment.pk}/").json()
        assert (shown["payment_status"], shown["full_price"]) == ("NOT_STARTED", "30.00")
        assert (shown["amount"], shown["currency"], shown["requires_action"]) == (None, None, None)

        accepted = pay(api, payment)
        assert (accepted.status_code, accepted.json()["payment_status"]) == (202, "PENDING")
        assert Reservation.objects.get().state == "paying"
        assert stock(payment) == (2, 0, 0)

        work(payment)
        paid = api.get(f"{PAYMENTS}{payment.pk}/").json()
        assert (paid["payment_status"], paid["amount"], paid["currency"]) == ("SUCCESS", "30.00", "EUR")
        mine = api.get(f"/event/reservations/{payment.reservation_id}/").json()
        assert (mine["state"], mine["validated"]) == ("validated", True)
        assert stock(payment) == (0, 2, 3000)
        assert charges(payment) == ["succeeded"]

    def test_the_token_is_erased_at_the_outcome(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "tok_secret")
        assert Payment.objects.get().gateway_token == "tok_secret"
        assert work(payment).gateway_token == ""

    def test_opening_a_payment_again_gives_the_same_one(self, api: APIClient, payment: Payment) -> None:
        again = api.post(PAYMENTS, {"reservation_id": payment.reservation_id}, format="json")

        assert (again.status_code, again.json()["id"]) == (200, payment.pk)

    def test_opening_a_payment_twice_at_once_makes_one(
        self, buyer: User, api: APIClient, ticket_type: TicketType
    ) -> None:
        held = reserve(api, ticket_type).json()["id"]

        results = together(
            *[lambda: services.payment_create(buyer_id=buyer.pk, reservation_id=held, gateway="sandbox")] * 6
        )

        assert sorted(opened.made for opened in results) == [False] * 5 + [True]
        assert Payment.objects.count() == 1

    def test_a_free_reservation_is_validated_without_a_gateway(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        held = reserve(api, ticket_type_make(price_minor=0)).json()
        made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
        free = Payment.objects.get(pk=made["id"])

        paid = pay(api, free).json()
        assert (paid["payment_status"], paid["amount"]) == ("SUCCESS", "0.00")
        assert stock(free) == (0, 1, 0)
        assert charges(free) == []


class TestFailure:
    @pytest.mark.parametrize(
        ("token", "outcome", "word"),
        [("card_error", "declined", "declined"), ("payment_error", "failed", "service")],
    )
    def test_the_buyer_is_told_and_may_try_again(
        self, api: APIClient, payment: Payment, token: str, outcome: str, word: str
    ) -> None:
        pay(api, payment, token)
        work(payment)

        failed = api.get(f"{PAYMENTS}{payment.pk}/").json()
        assert (failed["payment_status"], failed["amount"]) == ("FAILURE", None)
        assert word in failed["error"]
        assert Reservation.objects.get().state == "held"
        assert stock(payment) == (2, 0, 0)

        pay(api, payment, "ok")
        assert work(payment).status == "SUCCESS"
        assert payment.error == ""
        assert charges(payment) == [outcome, "succeeded"]
        assert stock(payment) == (0, 2, 3000)

    def test_with_no_time_left_the_reservation_ends(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "card_error")
        expire(payment)
        work(payment)

        assert Reservation.objects.get().state == "expired"
        assert stock(payment) == (0, 0, 0)
        gone = pay(api, payment)
        assert (gone.status_code, gone.json()["code"]) == (410, "reservation_expired")

    def test_a_failed_one_can_be_removed(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "card_error")
        work(payment)

        assert api.delete(f"{PAYMENTS}{payment.pk}/").status_code == 204
        assert Payment.objects.count() == 0


class TestExpiryBesidePayment:
    def test_a_payment_in_flight_is_waited_for(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)
        expire(payment)

        assert due_holds_sweep() == 0
        work(payment)
        assert Reservation.objects.get().state == "validated"

    def test_control_a_sweep_that_ignores_payments_in_flight_is_noticed(
        self, api: APIClient, payment: Payment
    ) -> None:
        """Show, as the control of the test above, that a sweep that ignores the state releases the tickets."""
        pay(api, payment)
        expire(payment)
        Reservation.objects.update(state="held")

        assert due_holds_sweep() == 1

    def test_an_unstarted_payment_protects_nothing(self, api: APIClient, payment: Payment) -> None:
        expire(payment)

        gone = pay(api, payment)
        assert (gone.status_code, gone.json()["code"]) == (410, "reservation_expired")
        assert due_holds_sweep() == 1
        assert pay(api, payment).status_code == 410
        assert Payment.objects.get().status == "NOT_STARTED"
        assert charges(payment) == []

    def test_pay_and_expiry_at_once_agree_on_one_of_them(
        self, api: APIClient, buyer: User, payment: Payment
    ) -> None:
        Reservation.objects.update(expires_at=timezone.now() + timedelta(milliseconds=30))

        together(
            lambda: services.payment_pay(buyer_id=buyer.pk, payment_id=payment.pk, token="ok"),
            *[lambda: [due_holds_sweep() for _ in range(40)]] * 2,
        )
        payment.refresh_from_db()
        pairs = {("PENDING", "paying"), ("NOT_STARTED", "expired"), ("NOT_STARTED", "held")}
        assert (payment.status, Reservation.objects.get().state) in pairs


class TestPressingTwice:
    def test_pay_pressed_twice_is_one_charge(self, api: APIClient, buyer: User, payment: Payment) -> None:
        results = together(
            *[lambda: services.payment_pay(buyer_id=buyer.pk, payment_id=payment.pk, token="ok")] * 5
        )
        together(*[lambda: services.payment_process(payment_id=payment.pk)] * 5)

        assert sorted(getattr(result, "code", "") for result in results) == ["", *["payment_in_progress"] * 4]
        assert charges(payment) == ["succeeded"]
        assert pay(api, payment).json()["code"] == "already_paid"
        assert stock(payment) == (0, 2, 3000)

    def test_a_message_delivered_again_changes_nothing(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)
        before = work(payment).version
        assert work(payment).version == before
        assert charges(payment) == ["succeeded"]


class TestLosingTheWorker:
    def test_a_payment_that_no_worker_took_is_found_by_beat(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)
        payment.refresh_from_db()
        pressed = Reservation.objects.get().paying_since
        assert pressed is not None
        assert payment.next_look_at == pressed + rules.RESUME_AFTER
        # However slow this machine is, that time has not come yet.
        Payment.objects.update(next_look_at=timezone.now() + timedelta(minutes=1))
        assert services.look_after() == 0
        lapse()
        redis_client.connection().delete(Queue.PAYMENTS)

        assert services.look_after() == 1
        assert work(payment).status == "SUCCESS"
        assert services.look_after() == 0

    def test_a_worker_that_hangs_lets_no_more_messages_wait_than_rows(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pay(api, payment)
        lapse()
        for _ in range(5):
            services.look_after()
        assert queue_length(Queue.PAYMENTS) == 1

        monkeypatch.setattr(processing, "queue_length", lambda _queue: 0)  # without the bound
        for _ in range(5):
            services.look_after()
        assert queue_length(Queue.PAYMENTS) == 6

    @pytest.mark.parametrize(("waiting", "after"), [(0, 1), (99, 100), (100, 100)])
    def test_mails_that_no_worker_sends_let_a_hundred_messages_wait_at_most(
        self, api: APIClient, payment: Payment, waiting: int, after: int
    ) -> None:
        pay(api, payment)
        work(payment)
        Receipt.objects.update(next_look_at=timezone.now() - timedelta(seconds=1))
        redis_client.broker().delete(Queue.MAIL)
        if waiting:
            redis_client.broker().rpush(Queue.MAIL, *["a message"] * waiting)

        services.look_after()

        assert queue_length(Queue.MAIL) == after

    @pytest.mark.parametrize("died_after", ["create_intent", "payment_remember_intent", "confirm"])
    def test_a_worker_that_died_leaves_one_charge(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch, died_after: str
    ) -> None:
        pay(api, payment)
        owner: Any = operations if "remember" in died_after else sandbox.SandboxGateway
        original = getattr(owner, died_after)

        def die(*args: Any, **kwargs: Any) -> None:
            original(*args, **kwargs)
            raise KeyboardInterrupt  # nothing catches this, so it leaves the rows as a kill does

        with monkeypatch.context() as dying:
            dying.setattr(owner, died_after, die)
            with pytest.raises(KeyboardInterrupt):
                work(payment)
        payment.refresh_from_db()
        assert payment.status == "PROCESSING"
        assert work(payment).status == "PROCESSING"  # leased: another worker leaves it alone

        lapse()
        assert work(payment).status == "SUCCESS"
        assert charges(payment) == ["succeeded"]
        assert stock(payment) == (0, 2, 3000)

    def test_an_unknown_outcome_is_asked_about_and_never_called_declined(
        self, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment, "timeout_charged")
        assert work(payment).status == "PROCESSING"
        assert Reservation.objects.get().state == "paying"

        lapse()
        assert work(payment).status == "SUCCESS"
        assert charges(payment) == ["succeeded"]


class TestWhoseItIs:
    def test_another_buyers_payment_is_not_found(
        self, payment: Payment, user_make: Callable[..., User]
    ) -> None:
        stranger = api_of(user_make())
        url = f"{PAYMENTS}{payment.pk}/"

        assert stranger.get(url).status_code == 404
        assert stranger.delete(url).status_code == 404
        assert pay(stranger, payment).status_code == 404
        opened = stranger.post(PAYMENTS, {"reservation_id": payment.reservation_id}, format="json")
        assert opened.status_code == 404
        assert stranger.get(PAYMENTS).json()["results"] == []
        assert Payment.objects.get().status == "NOT_STARTED"

    def test_a_reservation_that_has_ended_or_is_paid_opens_no_payment(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        held = reserve(api, ticket_type_make()).json()["id"]
        body = {"reservation_id": held}
        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert api.post(PAYMENTS, body, format="json").status_code == 410

        now = timezone.now()
        Reservation.objects.update(state="validated", validated_at=now)
        answer = api.post(PAYMENTS, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "already_paid")

    @pytest.mark.parametrize(
        "body", [{}, {"reservation_id": "x"}, {"reservation_id": 2**63}, {"reservation_id": None}]
    )
    def test_a_malformed_reservation_id_is_400(self, api: APIClient, body: dict[str, Any]) -> None:
        assert api.post(PAYMENTS, body, format="json").status_code == 400

    @pytest.mark.parametrize("token", ["", " ", None, "x" * 201, "a\x00b", 5.5, ["ok"]])
    def test_a_malformed_token_is_400(self, api: APIClient, payment: Payment, token: Any) -> None:
        answer = api.post(f"{PAYMENTS}{payment.pk}/pay/", {"token": token}, format="json")
        if token == 5.5:
            assert answer.status_code == 202  # a number is read as its text, as everywhere in JSON forms
            return
        assert answer.status_code == 400
        assert Reservation.objects.get().state == "held"

    def test_a_payment_in_flight_cannot_be_removed(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)

        answer = api.delete(f"{PAYMENTS}{payment.pk}/")
        assert (answer.status_code, answer.json()["code"]) == (409, "payment_started")
        assert work(payment).status == "SUCCESS"
        assert api.delete(f"{PAYMENTS}{payment.pk}/").status_code == 409
