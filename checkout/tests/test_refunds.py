"""Paying back, whole and in part."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from rest_framework.test import APIClient

from checkout import rules, services
from checkout.gateways import protocol
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Incident, Payment, Refund
from checkout.permissions import Permission
from checkout.tests.paying import PAYMENTS, audit, heal, lapse, pay, stock, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of, permit
from tests.threads import together
from tickets.admission.models import Ticket
from tickets.models import Reservation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(), Permission.REFUND))


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Two tickets, paid with 30.00 EUR."""
    pay(api, payment)
    return work(payment)


def refund(staff: APIClient, payment: Payment, **body: Any) -> Any:
    return staff.post(f"{PAYMENTS}{payment.pk}/refund/", body, format="json")


def paid_back(payment: Payment) -> int:
    """Return what was refunded according to the sandbox's ledger."""
    reference = payment.gateway_reference
    [row] = db.rows(
        "SELECT COALESCE(sum(amount), 0) AS n FROM sandbox.refunds WHERE intent = %s", [reference]
    )
    return int(row["n"])


class TestWhole:
    def test_the_money_goes_back_and_the_tickets_stay(
        self, staff: APIClient, api: APIClient, paid: Payment
    ) -> None:
        assert refund(staff, paid).status_code == 202
        heal()

        assert api.get(f"{PAYMENTS}{paid.pk}/").json()["payment_status"] == "REFUNDED"
        assert paid_back(paid) == 3000
        assert stock(paid) == (0, 2, 0)
        assert Reservation.objects.get().state == "validated"
        assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}
        audit()

    def test_the_tickets_return_when_asked(self, staff: APIClient, api: APIClient, paid: Payment) -> None:
        refund(staff, paid, return_tickets=True)
        assert stock(paid) == (0, 2, 3000)  # not before the money has gone back
        heal()

        assert stock(paid) == (0, 0, 0)
        gone = api.get(f"/event/reservations/{paid.reservation_id}/")
        assert (gone.status_code, gone.json()["state"]) == (410, "released")
        audit()

    def test_a_refund_from_before_there_were_tickets_leaves_none(
        self, staff: APIClient, paid: Payment
    ) -> None:
        """The migrations make tickets for each paid reservation first, and revoke those of refunded ones then."""
        refund(staff, paid)
        heal()
        Ticket.objects.all().delete()
        executor = MigrationExecutor(connection)
        executor.migrate([("admission", "0001_tickets")])
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

        assert [ticket.state for ticket in Ticket.objects.all()] == ["revoked", "revoked"]


class TestInPart:
    def test_the_counters_follow(self, staff: APIClient, paid: Payment) -> None:
        refund(staff, paid, amount="10.50")
        heal()

        paid.refresh_from_db()
        assert (paid.status, paid.refunded_minor) == ("SUCCESS", 1050)
        assert set(Ticket.objects.values_list("state", flat=True)) == {"valid"}
        assert stock(paid) == (0, 2, 1950)
        audit()
        refund(staff, paid)
        heal()
        paid.refresh_from_db()
        assert (paid.status, paid_back(paid)) == ("REFUNDED", 3000)
        assert stock(paid) == (0, 2, 0)

    def test_never_more_than_was_charged(self, staff: APIClient, paid: Payment) -> None:
        refund(staff, paid, amount="20.00")
        heal()

        answer = refund(staff, paid, amount="10.01")
        assert (answer.status_code, answer.json()["code"]) == (409, "refund_too_large")
        assert refund(staff, paid, amount="10.00").status_code == 202
        heal()
        assert refund(staff, paid, amount="0.01").json()["code"] == "not_refundable"
        assert paid_back(paid) == 3000

    def test_tickets_return_with_the_last_of_the_money_only(self, staff: APIClient, paid: Payment) -> None:
        assert refund(staff, paid, amount="10.00", return_tickets=True).status_code == 400
        assert not Refund.objects.exists()

    @pytest.mark.parametrize("amount", ["0", "-1", "1.005", "ten", "", "9" * 31])
    def test_what_is_no_amount_is_400(self, staff: APIClient, paid: Payment, amount: str) -> None:
        assert refund(staff, paid, amount=amount).status_code == 400


class TestWho:
    def test_staff_with_the_permission_only(self, api: APIClient, paid: Payment) -> None:
        assert refund(api, paid).status_code == 403
        assert refund(APIClient(), paid).status_code == 401
        assert not Refund.objects.exists()

    def test_of_many_presses_one_is_a_refund(
        self, staff: APIClient, user_make: Callable[..., User], paid: Payment
    ) -> None:
        boss = user_make(is_staff=True).pk

        results = together(
            *[
                lambda: services.refund_request(
                    staff_id=boss, payment_id=paid.pk, amount_minor=1000, return_tickets=False
                )
            ]
            * 5
        )
        heal()
        assert sorted(getattr(r, "code", "") for r in results) == ["", *["refund_in_progress"] * 4]
        assert paid_back(paid) == 1000

    def test_what_did_not_succeed_is_not_refunded(self, staff: APIClient, payment: Payment) -> None:
        assert refund(staff, payment).json()["code"] == "not_refundable"
        assert staff.post(f"{PAYMENTS}999999/refund/", {"amount": "1.00"}, format="json").status_code == 404


class TestKey:
    def test_a_repeat_with_the_key_refunds_nothing_more(self, staff: APIClient, paid: Payment) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": "k" * 64}
        url = f"{PAYMENTS}{paid.pk}/refund/"
        first = staff.post(url, {"amount": "10.00"}, format="json", **key)
        in_flight = staff.post(url, {"amount": "10.00"}, format="json", **key)
        heal()
        later = staff.post(url, {"amount": "10.00"}, format="json", **key)
        other = staff.post(url, {"amount": "11.00"}, format="json", **key)
        heal()

        assert [each.status_code for each in (first, in_flight, later)] == [202] * 3
        assert [each.headers.get("Idempotency-Replayed") for each in (first, in_flight, later)] == [
            None, "true", "true",
        ]  # fmt: skip
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert paid_back(paid) == 1000
        assert refund(staff, paid, amount="10.00").status_code == 202  # without a key it is another refund

    def test_of_many_at_once_one_refunds_and_all_are_answered(
        self, user_make: Callable[..., User], paid: Payment
    ) -> None:
        boss = user_make(is_staff=True).pk

        results = together(
            *[
                lambda: services.refund_request(
                    staff_id=boss, payment_id=paid.pk, amount_minor=1000, return_tickets=False, key="once"
                )
            ]
            * 5
        )
        heal()
        assert sorted(replayed for _, replayed in results) == [False, *[True] * 4]
        assert paid_back(paid) == 1000

    @pytest.mark.parametrize("key", ["", "k" * 65, "\u00fc"])
    def test_what_is_no_key_is_400(self, staff: APIClient, paid: Payment, key: str) -> None:
        answer = staff.post(f"{PAYMENTS}{paid.pk}/refund/", {}, format="json", HTTP_IDEMPOTENCY_KEY=key)
        assert answer.status_code == 400
        assert not Refund.objects.exists()


class TestUnknown:
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_a_lost_answer_is_asked_for_again(
        self, staff: APIClient, paid: Payment, settings: Any, moment: str
    ) -> None:
        settings.SANDBOX_FAULTS = {"refund": moment}
        refund(staff, paid)
        services.refund_process(refund_id=Refund.objects.get().pk)
        assert Refund.objects.get().status == "PROCESSING"

        settings.SANDBOX_FAULTS = {}
        heal()
        assert Refund.objects.get().status == "SUCCESS"
        assert paid_back(paid) == 3000
        audit()

    def test_a_refund_without_a_key_is_noticed(
        self, staff: APIClient, paid: Payment, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Negative control: repeated under another key, a refund whose answer got lost is paid twice."""
        keys = iter(range(1000))
        monkeypatch.setattr(protocol, "gateway_key", lambda *_, **__: f"{paid.pk}:{next(keys)}")
        settings.SANDBOX_FAULTS = {"refund": "after"}
        refund(staff, paid, amount="10.00")
        services.refund_process(refund_id=Refund.objects.get().pk)
        settings.SANDBOX_FAULTS = {}
        heal()

        with pytest.raises(AssertionError):
            audit()

    def test_a_refusal_is_shown_to_staff_who_may_try_again(
        self, staff: APIClient, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as refusing:
            refusing.setattr(SandboxGateway, "refund", lambda *_, **__: rules.Refunded(outcome="failed"))
            refund(staff, paid)
            heal()
        refused = Refund.objects.get()
        assert refused.status == "FAILURE"
        assert Incident.objects.get().cause == "refund_failed"
        paid.refresh_from_db()
        assert (paid.status, paid.refunded_minor) == ("SUCCESS", 0)

        services.refund_retry(staff_id=Refund.objects.get().requested_by_id or 0, refund_id=refused.pk)
        heal()
        paid.refresh_from_db()
        assert (paid.status, paid.refunded_minor) == ("REFUNDED", 3000)
        audit()

    def test_none_is_tried_again_beside_another_or_after_all_went_back(
        self, staff: APIClient, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as refusing:
            refusing.setattr(SandboxGateway, "refund", lambda *_, **__: rules.Refunded(outcome="failed"))
            refund(staff, paid, amount="10.00")
            heal()
        refused = Refund.objects.get()
        again = {"staff_id": refused.requested_by_id or 0, "refund_id": refused.pk}
        refund(staff, paid, amount="5.00")
        with pytest.raises(rules.RefundInProgress):
            services.refund_retry(**again)
        heal()
        refund(staff, paid)
        heal()
        paid.refresh_from_db()
        assert paid.status == "REFUNDED"

        with pytest.raises(rules.NotRefundable):
            services.refund_retry(**again)
        refused.refresh_from_db()
        assert refused.status == "FAILURE"
        assert paid_back(paid) == 3000
        audit()

    def test_two_workers_pay_back_once(self, staff: APIClient, paid: Payment) -> None:
        refund(staff, paid)
        pk = Refund.objects.get().pk
        together(*[lambda: services.refund_process(refund_id=pk)] * 4)
        lapse()
        heal()
        assert paid_back(paid) == 3000
