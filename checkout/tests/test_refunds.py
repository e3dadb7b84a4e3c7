"""Refunds, whole and in part."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import projections, refund_operations, rules, services
from checkout.gateways import protocol
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Incident, Payment, Refund
from checkout.permissions import Permission
from checkout.tests.paying import PAYMENTS, audit, heal, lapse, pay, stock, work
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.rendering import dumps
from tests.clients import api_of, permit
from tests.live_contract import check
from tests.threads import together
from tickets.admission.models import Ticket
from tickets.models import Reservation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(), Permission.REFUND))


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Return a payment of 30.00 EUR for two tickets."""
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
    def test_a_whole_refund_keeps_the_tickets_sold(
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

    def test_a_whole_refund_returns_the_tickets_when_asked(
        self, staff: APIClient, api: APIClient, paid: Payment
    ) -> None:
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
        """Run the migrations, which make tickets for each paid reservation, then revoke those of refunded ones."""
        refund(staff, paid)
        heal()
        Ticket.objects.all().delete()
        executor = MigrationExecutor(connection)
        executor.migrate([("admission", "0001_tickets")])
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

        assert [ticket.state for ticket in Ticket.objects.all()] == ["revoked", "revoked"]


class TestInPart:
    def test_counters_follow_refunds_in_part(self, staff: APIClient, paid: Payment) -> None:
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

    def test_no_more_is_refunded_than_was_charged(self, staff: APIClient, paid: Payment) -> None:
        refund(staff, paid, amount="20.00")
        heal()

        answer = refund(staff, paid, amount="10.01")
        assert (answer.status_code, answer.json()["code"]) == (409, "refund_too_large")
        assert refund(staff, paid, amount="10.00").status_code == 202
        heal()
        answer = refund(staff, paid, amount="0.01").json()
        assert (answer["code"], answer["detail"]) == ("not_refundable", "There is nothing left to refund.")
        assert paid_back(paid) == 3000

    def test_tickets_return_with_the_last_of_the_money_only(self, staff: APIClient, paid: Payment) -> None:
        assert refund(staff, paid, amount="10.00", return_tickets=True).status_code == 400
        assert not Refund.objects.exists()

    @pytest.mark.parametrize("amount", ["0", "-1", "1.005", "ten", "", "9" * 31])
    def test_a_malformed_amount_is_400(self, staff: APIClient, paid: Payment, amount: str) -> None:
        assert refund(staff, paid, amount=amount).status_code == 400

    def test_a_misspelled_field_refunds_nothing(self, staff: APIClient, paid: Payment) -> None:
        answer = refund(staff, paid, amout="5.00", currency="EUR")

        assert (answer.status_code, set(answer.json()["errors"])) == (400, {"amout", "currency"})
        assert not Refund.objects.exists()
        assert refund(staff, paid, amount="5.00", return_tickets=False).status_code == 202, "control"


class TestWho:
    def test_only_staff_with_the_permission_refund(self, api: APIClient, paid: Payment) -> None:
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

    def test_a_payment_that_did_not_succeed_is_not_refunded(self, staff: APIClient, payment: Payment) -> None:
        assert refund(staff, payment).json()["code"] == "not_refundable"
        assert staff.post(f"{PAYMENTS}999999/refund/", {"amount": "1.00"}, format="json").status_code == 404


class TestIfMatch:
    def post(self, staff: APIClient, paid: Payment, made_from: object, **headers: str) -> Any:
        headers |= {"If-Match": f'"{made_from}"'}
        url = f"{PAYMENTS}{paid.pk}/refund/"
        return staff.post(url, {"amount": "10.00"}, format="json", headers=headers)

    def test_a_refund_is_of_the_payment_that_staff_have_read(self, staff: APIClient, paid: Payment) -> None:
        read = staff.get(f"{PAYMENTS}{paid.pk}/").json()["version"]
        first = self.post(staff, paid, read)
        heal()
        second = self.post(staff, paid, read)

        assert first.status_code == 202
        assert (second.status_code, second.json()["code"]) == (412, "outdated")
        assert second.json()["version"] == staff.get(f"{PAYMENTS}{paid.pk}/").json()["version"]
        assert paid_back(paid) == 1000
        assert self.post(staff, paid, second.json()["version"]).status_code == 202

    def test_a_repeat_with_the_key_gets_the_first_answer_whatever_its_version(
        self, staff: APIClient, paid: Payment
    ) -> None:
        paid.refresh_from_db()
        first = self.post(staff, paid, paid.version, **{"Idempotency-Key": "k"})
        heal()
        again = self.post(staff, paid, paid.version, **{"Idempotency-Key": "k"})

        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json()["refund"] == first.json()["refund"]

    def test_a_payment_that_is_refunded_says_so_whatever_its_version(
        self, staff: APIClient, paid: Payment
    ) -> None:
        refund(staff, paid)
        heal()
        assert self.post(staff, paid, 1).json()["code"] == "not_refundable"

    @pytest.mark.parametrize("made_from", ["x", "", "-1"])
    def test_what_is_no_version_is_invalid(self, made_from: str, staff: APIClient, paid: Payment) -> None:
        answer = self.post(staff, paid, made_from)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["If-Match"])
        assert not Refund.objects.exists()


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

    @pytest.mark.parametrize(
        ("first", "second"),
        [({"amount": "30.00"}, {}), ({}, {"amount": "30.00"}), ({}, {"return_tickets": True})],
    )
    def test_the_key_with_another_body_is_refused_also_when_it_means_the_same_amount(
        self, staff: APIClient, paid: Payment, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": "k1"}
        url = f"{PAYMENTS}{paid.pk}/refund/"
        asked = staff.post(url, first, format="json", **key)
        other = staff.post(url, second, format="json", **key)
        again = staff.post(url, first, format="json", **key)
        heal()

        assert [asked.status_code, again.status_code] == [202] * 2
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert paid_back(paid) == 3000

    def test_a_key_from_before_this_was_kept_is_repeated_with_and_without_the_amount(
        self, staff: APIClient, paid: Payment
    ) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": "k1"}
        url = f"{PAYMENTS}{paid.pk}/refund/"
        staff.post(url, {}, format="json", **key)
        Refund.objects.update(amount_left_out=None)

        for body in ({}, {"amount": "30.00"}):
            assert staff.post(url, body, format="json", **key).status_code == 202
        assert staff.post(url, {"amount": "29.00"}, format="json", **key).status_code == 422

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
        assert sorted(result.replayed for result in results) == [False, *[True] * 4]
        assert paid_back(paid) == 1000

    @pytest.mark.parametrize("key", ["", "k" * 65, "\u00fc"])
    def test_a_malformed_key_is_400(self, staff: APIClient, paid: Payment, key: str) -> None:
        answer = staff.post(f"{PAYMENTS}{paid.pk}/refund/", {}, format="json", HTTP_IDEMPOTENCY_KEY=key)
        assert answer.status_code == 400
        assert not Refund.objects.exists()


class TestFollowed:
    """What staff and the buyer read of a refund, until it has its outcome and afterwards."""

    @staticmethod
    def refusing(*_args: Any, **_options: Any) -> rules.Refunded:
        return rules.Refunded(outcome=rules.RefundOutcome.FAILED, error="charge_already_refunded")

    @staticmethod
    def read(client: APIClient, payment: Payment) -> Any:
        return client.get(f"{PAYMENTS}{payment.pk}/").json()

    @staticmethod
    def frame(buyer: User) -> Any:
        """Return the payment as `/ws/me/` shows it, compared with the contract."""
        data = projections.project_buyers([buyer.pk], now=timezone.now())[buyer.pk]
        message = {"type": "update", "stream": f"me.{buyer.pk}", "version": 1, "server_time": timezone.now()}
        told = json.loads(dumps({**message, "data": data}))
        check(told)
        [shown] = told["data"]["payments"]
        return shown

    def test_staff_read_each_state_of_it(self, staff: APIClient, paid: Payment) -> None:
        asked = refund(staff, paid, amount="10.00").json()
        [shown] = asked["refunds"]
        assert shown.pop("created")
        assert shown == {
            "id": asked["refund"],
            "amount": "10.00",
            "return_tickets": False,
            "status": "PENDING",
            "error": "",
            "elsewhere": False,
        }
        assert (asked["refunded"], asked["amount"]) == ("0.00", "30.00")
        assert asked["version"] == self.read(staff, paid)["version"]
        heal()
        second = refund(staff, paid).json()["refund"]
        refunds = self.read(staff, paid)["refunds"]
        assert [(each["id"], each["status"]) for each in refunds] == [
            (asked["refund"], "SUCCESS"),
            (second, "PENDING"),
        ]
        assert self.read(staff, paid)["refunded"] == "10.00"

    def test_nobody_else_reads_the_refunds_or_another_payment(
        self, staff: APIClient, api: APIClient, user_make: Callable[..., User], paid: Payment
    ) -> None:
        refund(staff, paid, amount="10.00")
        others = [
            user_make(),
            permit(user_make(), Permission.MANAGE_ORDERS),
            permit(user_make(), Permission.RETRY_REFUND),
        ]
        for other in others:
            assert api_of(other).get(f"{PAYMENTS}{paid.pk}/").status_code == 404
        assert APIClient().get(f"{PAYMENTS}{paid.pk}/").status_code == 401
        assert "refunds" not in self.read(api, paid)
        assert staff.get(f"{PAYMENTS}999999/").status_code == 404
        assert staff.get(PAYMENTS).json()["results"] == [], "the list is that of one's own"
        assert staff.delete(f"{PAYMENTS}{paid.pk}/").status_code == 404
        assert pay(staff, paid).status_code == 404

    def test_staff_read_the_refunds_of_what_they_bought_themselves(self, buyer: User, paid: Payment) -> None:
        # With a new token: a process can keep what it knew of the earlier one for a minute when a right is given.
        staff = api_of(permit(buyer, Permission.REFUND))
        assert self.read(staff, paid)["refunds"] == []

    def test_the_buyer_reads_what_has_gone_back_and_the_screen_shows_the_same(
        self, staff: APIClient, api: APIClient, buyer: User, payment: Payment
    ) -> None:
        def both() -> Any:
            shown = self.read(api, payment)
            assert self.frame(buyer) == shown
            return shown["refunded"], shown["version"]

        assert both() == (None, 1)
        pay(api, payment)
        work(payment)
        seen = [both()]
        refund(staff, payment, amount="10.00")
        seen.append(both())  # in flight: it has not gone back
        heal()
        seen.append(both())
        refund(staff, payment)
        heal()
        seen.append(both())
        assert [each for each, _version in seen] == ["0.00", "0.00", "10.00", "30.00"]
        versions = [version for _each, version in seen]
        assert versions == sorted({*versions}), "each change has a version of its own"

    def test_a_refusal_shows_staff_why_and_the_buyer_nothing(
        self,
        staff: APIClient,
        api: APIClient,
        buyer: User,
        paid: Payment,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(SandboxGateway, "refund", self.refusing)
        refund(staff, paid, amount="10.00")
        heal()
        [refused] = self.read(staff, paid)["refunds"]
        assert (refused["status"], refused["error"]) == ("FAILURE", "charge_already_refunded")
        for shown in (self.read(api, paid), self.frame(buyer), api.get(PAYMENTS).json()["results"][0]):
            assert (shown["refunded"], shown["error"]) == ("0.00", "")
            assert "charge_already_refunded" not in str(shown)

    def test_one_that_fails_late_has_not_gone_back(
        self, staff: APIClient, api: APIClient, buyer: User, paid: Payment
    ) -> None:
        refund(staff, paid)
        heal()
        before = self.read(api, paid)
        with db.transaction():
            payment, back = refund_operations.refund_lock(refund_id=Refund.objects.get().pk)
            refund_operations.refund_fail_late(payment=payment, refund=back, error="x", now=timezone.now())
        after = self.read(api, paid)
        assert (before["refunded"], after["refunded"]) == ("30.00", "0.00")
        assert after["payment_status"] == "REFUNDED"
        assert after["version"] > before["version"]
        assert self.frame(buyer) == after

    def test_a_repeat_with_the_key_answers_with_its_present_state(
        self, staff: APIClient, paid: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ask() -> Any:
            return staff.post(
                f"{PAYMENTS}{paid.pk}/refund/", {"amount": "10.00"}, format="json", HTTP_IDEMPOTENCY_KEY="k"
            ).json()

        def state(answer: Any) -> tuple[int, str, str]:
            [mine] = [each for each in answer["refunds"] if each["id"] == answer["refund"]]
            return mine["id"], mine["status"], mine["error"]

        with monkeypatch.context() as context:
            context.setattr(SandboxGateway, "refund", self.refusing)
            first = ask()
            heal()
        pk = first["refund"]
        seen = [state(first), state(ask())]
        services.refund_retry(staff_id=Refund.objects.get().requested_by_id or 0, refund_id=pk)
        seen.append(state(ask()))
        heal()
        refund(staff, paid)  # another one
        seen.append(state(ask()))
        assert seen == [
            (pk, "PENDING", ""),
            (pk, "FAILURE", "charge_already_refunded"),
            (pk, "PENDING", ""),
            (pk, "SUCCESS", ""),
        ]


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
        """Repeat a refund with a lost answer under a new key, as a negative control: it is paid twice."""
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

    def test_no_refund_is_tried_again_beside_another_or_after_all_was_refunded(
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

    def test_two_workers_refund_once(self, staff: APIClient, paid: Payment) -> None:
        refund(staff, paid)
        pk = Refund.objects.get().pk
        together(*[lambda: services.refund_process(refund_id=pk)] * 4)
        lapse()
        heal()
        assert paid_back(paid) == 3000
