"""Redis is killed and loses its data while payments are in flight."""

import pytest

from checkout.tests.paying import audit
from tests import servers
from tests.system import System, eventually
from tickets.models import TicketType

pytestmark = [pytest.mark.processes, pytest.mark.own_system]


def test_losing_redis_during_payments_loses_no_order(system: System, ticket_type: TicketType) -> None:
    buyers = [system.buyer() for _ in range(10)]
    payments: list[int] = []
    for buyer in buyers:
        held = buyer.reserve(ticket_type.pk).json()["id"]
        payments.append(buyer.open_payment(held)["id"])
    tokens = ["ok", "ok", "card_error", "timeout_charged", "ok"] * 2

    for nth, (buyer, payment, token) in enumerate(zip(buyers, payments, tokens, strict=True)):
        assert buyer.pay(payment, token).status_code == 202
        if nth == 4:
            servers.valkey_crash_and_lose_all()
    eventually(lambda: system.revive() or system.ready(), seconds=60)  # type: ignore[func-returns-value]

    outcomes = [
        buyer.payment_when(payment, "SUCCESS", "FAILURE", seconds=60)["payment_status"]
        for buyer, payment in zip(buyers, payments, strict=True)
    ]
    assert outcomes == ["FAILURE" if token == "card_error" else "SUCCESS" for token in tokens]
    audit()
