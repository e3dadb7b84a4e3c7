"""After the restore of a backup the gateway has charges that our tables do not have."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import gateways, operations, selectors, services, tasks
from checkout.gateways import ledger
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Payment, Receipt, UnmatchedCharge
from checkout.rules import PaymentStatus, RefundOutcome
from checkout.tests.paying import PAYMENTS, charges, pay, waiting_ids, work
from overlord.accounts.models import User
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.queues import Queue
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def lose_the_row(payment: Payment) -> None:
    """Remove a paid payment, as the restore of an earlier backup does."""
    Receipt.objects.filter(payment=payment).delete()
    Payment.objects.filter(pk=payment.pk).delete()


def pay_before_and_after_a_restore(api: APIClient, payment: Payment, ticket_type: TicketType) -> Payment:
    """Pay, lose the row, and pay for another reservation with a row of the same id; return the second payment."""
    pay(api, payment, "ok")
    assert work(payment).status == PaymentStatus.SUCCESS
    lose_the_row(payment)
    held = reserve(api, ticket_type, 1).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    Payment.objects.filter(pk=made["id"]).update(id=payment.pk)
    again = Payment.objects.get(pk=payment.pk)
    pay(api, again, "another card")
    return work(again)


@pytest.fixture
def lost(api: APIClient, payment: Payment) -> str:
    """Make a charge whose payment is lost, and return the gateway's name for it."""
    pay(api, payment, "ok")
    reference = work(payment).gateway_reference
    lose_the_row(payment)
    return reference


def reconcile() -> int:
    return services.charges_reconcile(gateway="sandbox", since=timezone.now() - timedelta(days=1))


def unmatched() -> list[str]:
    return list(selectors.unmatched_charges_open().values_list("gateway_reference", flat=True))


def back(reference: str) -> list[int]:
    return [
        row["amount"] for row in db.rows("SELECT amount FROM sandbox.refunds WHERE intent = %s", [reference])
    ]


class TestReconciliation:
    def test_a_charge_without_a_payment_is_found_once(self, lost: str) -> None:
        assert reconcile() >= 1
        assert lost in unmatched()
        assert reconcile() == 0

    def test_a_charge_with_a_payment_is_none(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "ok")
        charged = work(payment).gateway_reference
        reconcile()
        assert charged not in unmatched()

    def test_a_payment_that_was_not_settled_yet_has_its_charge(
        self, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment, "timeout_charged")
        work(payment)
        assert charges(payment) == ["succeeded"]
        reconcile()
        assert payment.gateway_reference not in unmatched()

    def test_a_charge_without_a_payment_is_refunded_once(self, lost: str) -> None:
        reconcile()
        charge = UnmatchedCharge.objects.get(gateway_reference=lost)
        assert services.unmatched_charge_refund(staff_id=None, charge_id=charge.pk) == RefundOutcome.SUCCEEDED
        with pytest.raises(NotFound):
            services.unmatched_charge_refund(staff_id=None, charge_id=charge.pk)
        UnmatchedCharge.objects.update(closed_at=None)  # as if the worker had died before it wrote this
        assert services.unmatched_charge_refund(staff_id=None, charge_id=charge.pk) == RefundOutcome.SUCCEEDED

        assert back(lost) == [charge.amount_minor]

    def test_a_charge_that_is_closed_while_it_is_refunded_is_recorded_as_refunded(
        self, lost: str, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reconcile()
        charge, cashier = UnmatchedCharge.objects.get(gateway_reference=lost), user_make()
        ask = SandboxGateway.refund

        def meanwhile(gateway: SandboxGateway, **asked: Any) -> Any:
            services.unmatched_charges_close(staff_id=cashier.pk, ids=[charge.pk])
            return ask(gateway, **asked)

        monkeypatch.setattr(SandboxGateway, "refund", meanwhile)
        services.unmatched_charge_refund(staff_id=cashier.pk, charge_id=charge.pk)
        charge.refresh_from_db()
        assert charge.refund_reference != ""
        deeds = JournalEntry.objects.order_by("pk").values_list("action", flat=True)
        assert list(deeds) == [Action.CHARGE_CLOSED, Action.CHARGE_PAID_BACK]

    def test_a_charge_that_was_refunded_elsewhere_is_not_found(self, lost: str) -> None:
        sandbox = gateways.named("sandbox")
        sandbox.refund(key=lost, intent=lost, amount_minor=3000, currency="EUR", refund_id=0)
        reconcile()
        assert lost not in unmatched()

    def test_the_command_lists_and_pays_back(self, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("reconcile_charges")
        charge = UnmatchedCharge.objects.get(gateway_reference=lost)
        assert f"{charge.pk}: {lost}, 30.00 EUR" in capsys.readouterr().out
        assert back(lost) == []

        call_command("reconcile_charges", "--pay-back", str(charge.pk))

        assert f"{charge.pk}: the refund is succeeded" in capsys.readouterr().out
        assert back(lost) == [3000]

    def test_the_command_pays_nothing_back_if_it_does_not_know_a_number(self, lost: str) -> None:
        reconcile()
        charge = UnmatchedCharge.objects.get(gateway_reference=lost)
        with pytest.raises(CommandError, match=f"does not have {charge.pk}x"):
            call_command("reconcile_charges", "--pay-back", str(charge.pk), f"{charge.pk}x")
        assert back(lost) == []

    @pytest.mark.parametrize("days", ["-3", "0", "800000", "99999999999"])
    def test_the_command_compares_no_days_that_cannot_be(
        self, days: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(CommandError, match="--days must be a number from 1 to"):
            call_command("reconcile_charges", f"--days={days}")
        assert capsys.readouterr().out == ""

    def test_after_the_restore_of_an_old_backup_the_command_finds_all_charges_since(
        self, api: APIClient, payment: Payment, ticket_type: TicketType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Restore a backup of ten days ago, whose newest payment is twelve days old."""
        pay(api, payment, "ok")
        lost = work(payment).gateway_reference
        lose_the_row(payment)
        held = reserve(api, ticket_type, 1).json()
        made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
        Payment.objects.filter(pk=made["id"]).update(created=timezone.now() - timedelta(days=12))
        db.statement("UPDATE sandbox.intents SET created = now() - interval '9 days'", {})

        call_command("reconcile_charges", "--days", "3")
        assert lost not in unmatched(), "the control: as far back as the shop looks while it sells"
        call_command("reconcile_charges")

        assert lost in unmatched()
        since = Payment.objects.get(pk=made["id"]).created - timedelta(days=3)
        assert f"The charges since {since:%Y-%m-%d}" in capsys.readouterr().out

    def test_staff_pay_back_in_the_admin(self, lost: str, admin_client: Client) -> None:
        reconcile()
        charge = UnmatchedCharge.objects.get(gateway_reference=lost)
        chosen = {"action": "pay_back", "_selected_action": [charge.pk]}
        admin_client.post("/admin/checkout/unmatchedcharge/", chosen)
        [waiting] = [each for each in waiting_ids(Queue.PAYMENTS) if "charge_id" in each]
        assert back(lost) == [], "only the worker asks the gateway"
        tasks.unmatched_charge_refund(**waiting)
        assert back(lost) == [3000]
        assert lost not in unmatched()

    def test_the_reconciliation_runs_each_night(self) -> None:
        entry = current_app.conf.beat_schedule["reconcile-charges"]
        assert entry["task"] in current_app.tasks
        tasks.charges_reconcile()


def test_a_payment_with_the_id_of_a_lost_one_has_keys_of_its_own(
    api: APIClient, payment: Payment, ticket_type: TicketType
) -> None:
    assert pay_before_and_after_a_restore(api, payment, ticket_type).status == PaymentStatus.SUCCESS
    assert charges(payment) == ["succeeded", "succeeded"]


def test_control_keys_without_a_nonce_clash(
    api: APIClient,
    payment: Payment,
    ticket_type: TicketType,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(operations, "new_nonce", lambda: "")

    assert pay_before_and_after_a_restore(api, payment, ticket_type).status == PaymentStatus.PROCESSING
    assert charges(payment) == ["succeeded"]
    assert ledger.KeyReused in [record.exc_info[0] for record in caplog.records if record.exc_info]
