"""The steps of a buyer and a worker, and the sandbox's own ledger."""

import base64
import json
from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import rules, services
from checkout.gateways import ledger
from checkout.models import CancelledOrder, Payment, Refund
from overlord.kernel import db, redis_client
from overlord.kernel.queues import Queue
from tickets.admission.tests.auditing import audit_tickets
from tickets.models import Inventory, Reservation

PAYMENTS = "/payment/payments/"


def pay(api: APIClient, payment: Payment, token: str = "ok") -> Any:
    return api.post(f"{PAYMENTS}{payment.pk}/pay/", {"token": token}, format="json")


def work(payment: Payment) -> Payment:
    """Process a payment, as the worker does after the message that `pay` sent."""
    services.payment_process(payment_id=payment.pk)
    payment.refresh_from_db()
    return payment


def waiting_ids(queue: Queue) -> list[dict[str, int]]:
    """Return the ids in the messages on a queue."""
    bodies = [json.loads(text)["body"] for text in redis_client.broker().lrange(queue, 0, -1)]
    return [json.loads(base64.b64decode(body))[1] for body in bodies]


def stock(payment: Payment) -> tuple[int, int, int]:
    inventory = Inventory.objects.get(ticket_type__id=payment.reservation.ticket_type_id)
    return inventory.held, inventory.sold, int(inventory.revenue_minor)


def charges(payment: Payment) -> list[str]:
    """Return the intents of a payment in the sandbox's ledger."""
    with ledger.opened():
        pass  # it makes its tables, where no payment has yet
    rows = db.rows("SELECT outcome FROM sandbox.intents WHERE payment = %s ORDER BY created", [payment.pk])
    return [row["outcome"] for row in rows]


def expire(payment: Payment) -> None:
    """Let the payment's order be past its end."""
    lines(payment).update(expires_at=timezone.now() - timedelta(seconds=1))


def lines(payment: Payment) -> QuerySet[Reservation]:
    """Select all reservations of a payment's order."""
    order = payment.reservation_id
    return Reservation.objects.filter(Q(pk=order) | Q(lead=order)).order_by("pk")


def states(payment: Payment) -> list[str]:
    return list(lines(payment).values_list("state", flat=True))


def lapse() -> None:
    """Let every lease and pause be over, as if time had passed."""
    past = timezone.now() - timedelta(milliseconds=1)
    Payment.objects.exclude(lease_until=None).update(lease_until=past)
    Payment.objects.exclude(next_look_at=None).update(next_look_at=past)
    Refund.objects.exclude(lease_until=None).update(lease_until=past)
    Refund.objects.exclude(next_look_at=None).update(next_look_at=past)


def heal(*, rounds: int = 8) -> None:
    """Do the work of beat and the workers until nothing is left."""
    for _ in range(rounds):
        lapse()
        payments = list(Payment.objects.exclude(next_look_at=None).values_list("pk", flat=True))
        for payment_id in payments:
            services.payment_process(payment_id=payment_id)
        refunds = list(Refund.objects.exclude(next_look_at=None).values_list("pk", flat=True))
        for refund_id in refunds:
            services.refund_process(refund_id=refund_id)
        if not (payments or refunds):
            return


def reach_deadline(payment: Payment, *, after: timedelta = timedelta()) -> None:
    """Let the payment's deadline be past, by `after`."""
    Payment.objects.filter(pk=payment.pk).update(deadline=timezone.now() - timedelta(seconds=1) - after)


def audit() -> None:
    """Check that the sandbox's ledger and our tables agree, one to one (I1, I4, I9)."""
    with ledger.opened():
        pass  # it makes its tables, where no payment has yet
    intents = db.rows("SELECT id, payment, amount FROM sandbox.intents WHERE outcome = 'succeeded'")
    paid_back = {
        row["intent"]: int(row["amount"])
        for row in db.rows("SELECT intent, sum(amount) AS amount FROM sandbox.refunds GROUP BY intent")
    }
    ours = {payment.pk: payment for payment in Payment.objects.all()}
    mine = [intent for intent in intents if intent["payment"] in ours]
    assert len({intent["payment"] for intent in mine}) == len(mine), "charged twice"
    for intent in mine:
        payment = ours.pop(intent["payment"])
        assert payment.gateway_reference == intent["id"]
        gone = payment.refunds.filter(status="SUCCESS")
        back = sum(gone.values_list("amount_minor", flat=True))
        elsewhere = sum(gone.filter(elsewhere=True).values_list("amount_minor", flat=True))
        # A refund by hand at the gateway is in its ledger, a dispute that the buyer won is not.
        assert back - elsewhere <= paid_back.get(intent["id"], 0) <= back
        if back < intent["amount"]:
            seats = rules.tried_last(lines(payment))
            assert (payment.status, {each.state for each in seats}) == ("SUCCESS", {"validated"})
            assert sum(each.total_minor for each in seats) == intent["amount"]
        else:
            assert payment.status == "REFUNDED"
    assert not [
        payment
        for payment in ours.values()
        if payment.status in ("SUCCESS", "REFUNDING", "REFUNDED") and payment.amount_minor
    ]
    given_back = Payment.objects.filter(status="REFUNDED").values_list("reservation_id", flat=True)
    cancelled = CancelledOrder.objects.values_list("payment__reservation_id", flat=True)
    audit_tickets(given_back=[*given_back, *cancelled])
    expected = revenue()
    for stock in Inventory.objects.all():
        reservations = Reservation.objects.filter(ticket_type_id=stock.pk)
        held = sum(reservations.filter(state__in=["held", "paying"]).values_list("quantity", flat=True))
        sold = sum(reservations.filter(state="validated").values_list("quantity", flat=True))
        assert (stock.held, stock.sold) == (held, sold)
        assert stock.revenue_minor == expected[stock.pk]


def revenue() -> Counter[int]:
    """Return the expected revenue of each ticket type: its shares of the charges, less refunds."""
    found: Counter[int] = Counter()
    for payment in Payment.objects.filter(status__in=["SUCCESS", "REFUNDED"]):
        if payment.refunds.filter(requested_by=None).exists():
            continue  # late money that found no tickets
        seats = rules.tried_last(lines(payment))
        totals = [each.total_minor for each in seats]
        back = sum(payment.refunds.filter(status="SUCCESS").values_list("amount_minor", flat=True))
        shares = rules.refund_shares(totals, before=0, amount=back) if back else [0] * len(totals)
        for each, share in zip(seats, shares, strict=True):
            found[each.ticket_type_id] += each.total_minor - share
    return found
