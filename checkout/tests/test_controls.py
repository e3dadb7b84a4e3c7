"""Guards removed one at a time: the readings of the machine notice each (negative controls of test_machine.py)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from checkout import operations as checkout_operations
from checkout import rules
from checkout.gateways import GatewayUnknown
from checkout.models import Payment
from checkout.rules import Charge, Outcome
from checkout.services import processing
from checkout.tests.machine import Shop, run
from checkout.tests.paying import heal
from tickets import operations, selectors, services
from tickets import rules as ticket_rules
from tickets.admission import operations as admission_operations
from tickets.models import Reservation
from tickets.operations import StateChanged

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.open(capacities=[4, 4, 4], free=False)
    return made


def readings(shop: Shop) -> None:
    """Read every invariant now, and again after everything has settled."""
    shop.everything_holds()
    shop.teardown()


@dataclass(frozen=True)
class Control:
    """A guard, the way to remove it, and the fault that follows."""

    guard: str
    remove: Callable[[pytest.MonkeyPatch], None]
    misuse: Callable[[Shop], None]


def without(statement: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: run(statement)


def patched(where: Any, name: str, instead: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(where, name, instead)


def function_without(name: str, guard: str, instead: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a function that replaces a part of a function of the database."""

    def remove(_monkeypatch: pytest.MonkeyPatch) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [name])
            text = cursor.fetchone()[0]
            assert guard in text
            cursor.execute(text.replace(guard, instead))

    return remove


def all_of(*removals: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    def remove(monkeypatch: pytest.MonkeyPatch) -> None:
        for each in removals:
            each(monkeypatch)

    return remove


def paid(shop: Shop, quantity: int = 2) -> Payment:
    shop.reserve(buyer=0, kind=0, quantity=quantity, key=None)
    shop.pay(pick=0, token="ok")
    shop.work(pick=0, fault=None)
    payment = Payment.objects.get()
    assert payment.status == "SUCCESS"
    return payment


def buy(shop: Shop) -> None:
    paid(shop)


def lower_capacity(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=3, key=None)
    shop.set_capacity(kind=0, capacity=1)


def expire_while_paying(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.pay(pick=0, token="ok")
    shop.time_passes(minutes=16)
    Reservation.objects.update(expires_at=timezone.now())
    services.due_holds_release(ticket_type=shop.types[0].pk)


def repeat_a_request(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key="a")
    shop.release(pick=0)
    shop.repeat(pick=0)


def be_declined(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.pay(pick=0, token="card_error")
    shop.work(pick=0, fault=None)


def refund_with_a_lost_answer(shop: Shop) -> None:
    paid(shop)
    shop.refund(pick=0, amount=100, seats=False)
    shop.work_on_refund(pick=0, fault=("refund", "after"))
    heal()


def resize_while_paying(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.pay(pick=0, token="ok")
    shop.resize(pick=0, quantity=3)
    shop.work(pick=0, fault=None)


def pay_and_hear_nothing(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.pay(pick=0, token="timeout_charged")
    shop.work(pick=0, fault=None)


def press_pay(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.pay(pick=0, token="ok")


def refund_all(shop: Shop) -> None:
    paid(shop)
    shop.refund(pick=0, amount=None, seats=False)
    shop.work_on_refund(pick=0, fault=None)


def refund_a_part(shop: Shop) -> None:
    paid(shop)
    shop.refund(pick=0, amount=100, seats=False)
    shop.work_on_refund(pick=0, fault=None)


def ask_for_more_than_there_are(shop: Shop) -> None:
    for buyer in (0, 1):
        shop.reserve(buyer=buyer, kind=0, quantity=3, key=None)


def return_what_is_paid(shop: Shop) -> None:
    paid(shop)
    shop.return_seats(pick=0)


def release(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.release(pick=0)


def release_with_a_code(shop: Shop) -> None:
    shop.order(buyer=0, wanted={0: 1}, key=None, pick=None, code="FEW")
    assert Reservation.objects.exclude(voucher=None).exists()
    shop.release(pick=0)


def revive_an_ended_one(shop: Shop) -> None:
    shop.reserve(buyer=0, kind=0, quantity=1, key=None)
    shop.release(pick=0)
    shop.everything_holds()
    Reservation.objects.update(state="held", ended_at=None)


def _counting(name: str) -> Callable[..., str]:
    """Return a function that returns a new key each time."""
    numbers = iter(range(1_000))
    return lambda operation, **_of: f"{name}:{operation}:{next(numbers)}"


def _believing(visit: Any) -> Charge:
    payment = visit.payment
    return Charge(outcome=Outcome.SUCCEEDED, charged_minor=payment.amount_minor, currency=payment.currency)


def _declining(visit: Any) -> Charge:
    try:
        return PROGRESS(visit)
    except GatewayUnknown:
        return Charge(outcome=Outcome.DECLINED)


PROGRESS = processing._progress
CONTROLS = [
    Control(
        "the CHECK against overselling",
        without("ALTER TABLE tickets_inventory DROP CONSTRAINT inventory_never_oversold"),
        lower_capacity,
    ),
    Control(
        "the expiry leaves alone what is being paid",
        function_without("holds_release_due", "r.state = 'held'", "r.state IN ('held', 'paying')"),
        expire_while_paying,
    ),
    Control(
        "a key is used once",
        without("ALTER TABLE tickets_reservation DROP CONSTRAINT reservation_unique_idempotency_key"),
        repeat_a_request,
    ),
    Control(
        "the look at an earlier request with the same key",
        patched(selectors, "reservation_row_by_key", lambda **_: None),
        repeat_a_request,
    ),
    Control(
        "the gateway is asked",
        patched(processing, "_progress", _believing),
        be_declined,
    ),
    Control(
        "an answer that is lost is no refusal",
        patched(processing, "_progress", _declining),
        pay_and_hear_nothing,
    ),
    Control(
        "what is being paid is marked",
        patched(operations, "order_begin_paying", lambda *, order, now: list(order)),
        press_pay,
    ),
    Control(
        "the claim takes what is left and no more, and the CHECK behind it",
        all_of(
            without("ALTER TABLE tickets_inventory DROP CONSTRAINT inventory_never_oversold"),
            function_without(
                "reservation_claim", "i.held::bigint + i.sold + p_quantity <= i.capacity", "true"
            ),
        ),
        ask_for_more_than_there_are,
    ),
    Control(
        "a payment knows what was paid back of it",
        patched(checkout_operations, "payment_set_refunded", lambda **_: None),
        refund_a_part,
    ),
    Control(
        "tickets end when all their money went back",
        patched(admission_operations, "tickets_revoke", lambda **_: 0),
        refund_all,
    ),
    Control(
        "the same key for the same refund",
        patched(processing.protocol, "gateway_key", _counting("other")),
        refund_with_a_lost_answer,
    ),
    Control(
        "the refusal to change what is being paid",
        patched(ticket_rules, "check_resizable", lambda **_: None),
        resize_while_paying,
    ),
    Control(
        "the refusal to return seats that somebody paid for",
        patched(rules, "check_returnable", lambda **_: None),
        return_what_is_paid,
    ),
    Control(
        "the counters change with the reservation",
        patched(operations, "_inventories_change", lambda changes, *, now: None),
        release,
    ),
    Control(
        "the trigger that makes tickets",
        without("ALTER TABLE tickets_reservation DISABLE TRIGGER admission_reservation_changed"),
        buy,
    ),
    Control(
        "the trigger that counts the uses of a code",
        without("ALTER TABLE tickets_reservation DISABLE TRIGGER reservation_voucher_changed"),
        release_with_a_code,
    ),
]


@pytest.fixture
def guards_back() -> Iterator[None]:
    """Put the guards of the database back after the test."""
    names = ("holds_release_due", "reservation_claim")
    with connection.cursor() as cursor:
        texts = []
        for name in names:
            cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [name])
            texts.append(cursor.fetchone()[0])
    yield
    call_command("flush", verbosity=0)
    with connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)
        cursor.execute(
            "ALTER TABLE tickets_inventory DROP CONSTRAINT IF EXISTS inventory_never_oversold,"
            " ADD CONSTRAINT inventory_never_oversold CHECK (capacity >= held + sold)"
        )
        for trigger in ("admission_reservation_changed", "reservation_voucher_changed"):
            cursor.execute(f"ALTER TABLE tickets_reservation ENABLE TRIGGER {trigger}")
        cursor.execute(
            "ALTER TABLE tickets_reservation DROP CONSTRAINT IF EXISTS reservation_unique_idempotency_key,"
            " ADD CONSTRAINT reservation_unique_idempotency_key UNIQUE (buyer_id, idempotency_key)"
        )


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.guard)
def test_a_fault_without_its_guard_is_noticed(
    control: Control, shop: Shop, guards_back: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.remove(monkeypatch)
    with pytest.raises((AssertionError, StateChanged)):  # by a reading, or by another guard behind this one
        control.misuse(shop)
        readings(shop)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.guard)
def test_with_the_guard_no_fault_is_noticed(control: Control, shop: Shop) -> None:
    control.misuse(shop)
    readings(shop)


def test_an_ended_reservation_that_is_held_again_is_noticed(shop: Shop) -> None:
    """No guard of the database forbids it, so the checks must see it."""
    revive_an_ended_one(shop)
    with pytest.raises(AssertionError):
        readings(shop)
