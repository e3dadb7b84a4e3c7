"""Hundreds of payments wait for their gateway at once in one worker, and delay no other payment."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from celery.contrib.testing.worker import start_worker
from django.conf import settings as configured
from django.utils import timezone

from checkout import services
from checkout.gateways import CALL_SECONDS, ledger, stripe
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Payment
from checkout.rules import LEASE, Charge, Outcome
from checkout.services import processing
from checkout.tests.fake_stripe import Answer, FakeStripe, running
from checkout.tests.paying import audit
from overlord.accounts.models import User
from overlord.celery import app
from overlord.kernel import db
from overlord.kernel.postgresql import base as postgresql
from tests.system import eventually
from tickets import services as tickets
from tickets.models import TicketType

WAITING = 200
PATIENCE = 60.0  # seconds that a test waits before it fails


@pytest.fixture
def worker() -> Iterator[None]:
    """Run the payments worker in this process, with its threads and connections."""
    try:
        at_once = configured.CELERY_WORKER_CONCURRENCY
        with start_worker(
            app, pool="threads", concurrency=at_once, queues=["payments"], perform_ping_check=False
        ):
            yield
    finally:
        postgresql.share_no_more()


class Barrier:
    """A barrier at which confirmations of one token wait until it opens."""

    token = "a card whose bank thinks"

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def confirm(self, gateway: SandboxGateway, *, key: str, intent: str) -> Charge:
        with ledger.opened() as book:
            known = book.intent(intent)
        if known is not None and known["token"] == self.token:
            self.arrived.release()
            self.open.wait()
        return _confirm(gateway, key=key, intent=intent)

    def wait_for(self, count: int) -> None:
        for nth in range(count):
            assert self.arrived.acquire(timeout=PATIENCE), f"{nth} of {count} wait for the gateway"


_confirm = SandboxGateway.confirm


@pytest.fixture
def barrier() -> Iterator[Barrier]:
    made = Barrier()
    with patch.object(SandboxGateway, "confirm", lambda gateway, **given: made.confirm(gateway, **given)):
        yield made
        made.open.set()


def press(buyer: User, ticket_type: TicketType, token: str) -> int:
    """Reserve a ticket, and press Pay."""
    reserved = tickets.reservation_create(
        buyer_id=buyer.pk,
        ticket_type=ticket_type.pk,
        quantity=1,
        key=None,
        hold=timedelta(minutes=15),
        now=timezone.now(),
    )
    begun = services.reservation_pay(
        buyer_id=buyer.pk, reservation_id=reserved.reservation["id"], gateway="sandbox", token=token
    )
    return begun.payment.pk


def status(payment_id: int) -> str:
    return Payment.objects.values_list("status", flat=True).get(pk=payment_id)


def connections() -> int:
    [row] = db.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('overlord', 'sandbox')"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(row["count"])


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_two_hundred_payments_wait_at_once_and_the_next_one_is_settled_meanwhile(
    worker: None,
    barrier: Barrier,
    user_make: Callable[..., User],
    ticket_type_make: Callable[..., TicketType],
) -> None:
    ledger.close()  # only the worker's connections are counted
    ticket_type = ticket_type_make(capacity=WAITING + 1)
    waiting = [press(user_make(), ticket_type, Barrier.token) for _ in range(WAITING)]
    barrier.wait_for(WAITING)

    quick = press(user_make(), ticket_type, "ok")
    eventually(lambda: status(quick) == "SUCCESS", seconds=PATIENCE)
    assert {status(payment_id) for payment_id in waiting} == {"PROCESSING"}
    assert connections() <= configured.WORKER_CONNECTIONS + ledger.CONNECTIONS

    barrier.open.set()
    eventually(lambda: {status(payment_id) for payment_id in waiting} == {"SUCCESS"}, seconds=PATIENCE)
    audit()


# Calls that nothing ends from outside --------------------------------------------------------------------
def test_the_client_ends_a_call_within_the_limit_of_a_call() -> None:
    repeated = (stripe.CONNECT_SECONDS + stripe.READ_SECONDS) * (1 + stripe.RETRIES)
    pauses = 0.5 * stripe.RETRIES
    assert repeated + pauses <= CALL_SECONDS < LEASE.total_seconds()


class DecliningStripe(FakeStripe):
    """A Stripe that declines each card, and counts the calls."""

    calls = 0
    intent = {
        "id": "pi_1", "object": "payment_intent", "status": "requires_payment_method", "amount": 3000,
        "currency": "eur",
    }  # fmt: skip

    def post(self, key: str, form: dict[str, str]) -> Answer:
        self.calls += 1
        error = {"type": "card_error", "code": "card_declined", "message": "declined"}
        return 402, {"error": {**error, "payment_intent": self.intent}}

    def get(self, path: str, asked: dict[str, str]) -> Answer:
        self.calls += 1
        return 200, self.intent


def test_a_declined_card_takes_one_call(settings: Any) -> None:
    fake = DecliningStripe(charged=0)
    with running(fake):
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_12345", fake.url
        charge = stripe.StripeGateway().confirm(key="k", intent="pi_1")

    assert charge == Charge(outcome=Outcome.DECLINED, currency="EUR")
    assert fake.calls == 1


@pytest.mark.django_db(transaction=True)
def test_a_call_that_could_outlast_the_lease_is_left_to_the_next_attempt(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.payment_pay(buyer_id=payment.buyer_id, payment_id=payment.pk, token="ok")
    create = SandboxGateway.create_intent
    late = timedelta(seconds=CALL_SECONDS + 1)

    def create_late(gateway: SandboxGateway, **given: Any) -> str:
        made = create(gateway, **given)
        monkeypatch.setattr(processing.rules, "LEASE", late / 2)
        return made

    with patch.object(SandboxGateway, "create_intent", create_late):
        services.payment_process(payment_id=payment.pk)

    payment.refresh_from_db()
    assert (payment.status, payment.lease_until) == ("PROCESSING", None)
    assert payment.gateway_reference, "the result of the call in time is kept"
    with ledger.opened() as book:
        assert book.intent(payment.gateway_reference)["outcome"] == "unconfirmed"  # type: ignore[index]
