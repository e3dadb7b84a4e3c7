"""After the restore of a backup the gateway remembers what our tables no longer do."""

import pytest
from rest_framework.test import APIClient

from checkout import operations
from checkout.gateways import ledger
from checkout.models import Payment, Receipt
from checkout.rules import PaymentStatus
from checkout.tests.paying import PAYMENTS, charges, pay, work
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def lose_the_row(payment: Payment) -> None:
    """Remove a paid payment, as the restore of an earlier backup does."""
    Receipt.objects.filter(payment=payment).delete()
    Payment.objects.filter(pk=payment.pk).delete()


def pay_before_and_after_a_restore(api: APIClient, payment: Payment, ticket_type: TicketType) -> Payment:
    """Pay, lose the row, and pay for another reservation with a row of the same id; return that one."""
    pay(api, payment, "ok")
    assert work(payment).status == PaymentStatus.SUCCESS
    lose_the_row(payment)
    held = reserve(api, ticket_type, 1).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    Payment.objects.filter(pk=made["id"]).update(id=payment.pk)
    again = Payment.objects.get(pk=payment.pk)
    pay(api, again, "another card")
    return work(again)


def test_a_payment_with_the_id_of_a_lost_one_has_keys_of_its_own(
    api: APIClient, payment: Payment, ticket_type: TicketType
) -> None:
    assert pay_before_and_after_a_restore(api, payment, ticket_type).status == PaymentStatus.SUCCESS
    assert charges(payment) == ["succeeded", "succeeded"]


def test_keys_without_a_nonce_clash(
    api: APIClient, payment: Payment, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "new_nonce", lambda: "")

    with pytest.raises(ledger.KeyReused):
        pay_before_and_after_a_restore(api, payment, ticket_type)
