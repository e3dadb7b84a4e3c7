"""The audit of a chaos run finds each difference between the answers to clients and the database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from rest_framework.test import APIClient

from checkout.gateways import ledger
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS, pay, work
from overlord.accounts.models import User
from tests.chaos.history import Answer, Claim, Facts, History, Outcome, outcome_of
from tests.chaos.readings import Readings
from tests.chaos.screens import Screen, Truth, differs, foreign
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def readings() -> Readings:
    with ledger.opened() as book:  # the ledger makes its tables; charges of other tests are removed
        book.rows("TRUNCATE sandbox.refunds, sandbox.events, sandbox.intents, sandbox.requests")
    params = connection.settings_dict
    where = f"{params['HOST']}:{params['PORT']}/{params['NAME']}"
    return Readings(f"postgres://{params['USER']}:{params['PASSWORD']}@{where}")


@pytest.fixture
def told(api: APIClient, buyer: User, ticket_type: TicketType) -> Facts:
    """Let a buyer pay for one order and hold another, and keep the answers."""
    facts = Facts()
    paid = reserve(api, ticket_type, 2, **{"Idempotency-Key": "first"}).json()
    payment = Payment.objects.get(
        pk=api.post(PAYMENTS, {"reservation_id": paid["id"]}, format="json").json()["id"]
    )
    pay(api, payment)
    assert work(payment).status == "SUCCESS"
    held = reserve(api, ticket_type, 1, **{"Idempotency-Key": "second"}).json()
    for key, given in (("first", paid), ("second", held)):
        facts.claims[key] = Claim(buyer.pk, given["amount"], [(Outcome.OK, given["id"])])
        facts.quantities[given["id"]] = given["amount"]
    facts.accepted.add(payment.pk)
    facts.paid.add(payment.pk)
    return facts


def test_right_answers_pass_the_audit(readings: Readings, told: Facts) -> None:
    ledger_found = readings.audit(told)

    assert readings.violations == []
    assert (ledger_found["charges"], ledger_found["unmatched"]) == (1, 0)


def lose_a_reservation(told: Facts) -> None:
    told.claims["third"] = Claim(told.claims["first"].buyer, 1, [(Outcome.OK, 999_999)])


def leave_a_trace(told: Facts) -> None:
    told.claims["second"].answers = [(Outcome.FAILED, 0)]


def give_a_key_twice(told: Facts) -> None:
    told.claims["first"].answers.append((Outcome.OK, told.claims["second"].answers[0][1]))


def lose_a_change(told: Facts) -> None:
    told.quantities[told.claims["second"].answers[0][1]] = 3


def lose_a_release(told: Facts) -> None:
    told.released.add(told.claims["second"].answers[0][1])


def lose_a_payment(told: Facts) -> None:
    Payment.objects.update(status="FAILURE", amount_minor=3000)


def forget_an_accepted_payment(told: Facts) -> None:
    told.accepted.add(999_999)


def admit_twice(told: Facts) -> None:
    told.admitted["a code"] |= {str(uuid4()), str(uuid4())}


def lose_a_scan(told: Facts) -> None:
    told.admitted["a code"].add(str(uuid4()))


def charge_for_nothing(_told: Facts) -> None:
    run("INSERT INTO sandbox.intents (amount, currency, payment, token, outcome)"
        " VALUES (500, 'EUR', 999999, '', 'succeeded')")  # fmt: skip


def pay_back_in_secret(_told: Facts) -> None:
    run("INSERT INTO sandbox.refunds (intent, amount, refund) SELECT id, 100, 999999 FROM sandbox.intents")


def count_wrongly(_told: Facts) -> None:
    Inventory.objects.update(held=0)


LIES: dict[Callable[[Facts], None], str] = {
    lose_a_reservation: "I5 an acknowledged reservation is lost",
    leave_a_trace: "I5 a refused request left a trace",
    give_a_key_twice: "I6 one key, one reservation",
    lose_a_change: "I5 an acknowledged change is lost",
    lose_a_release: "I5 an acknowledged release is lost",
    lose_a_payment: "I5 a payment shown as paid is lost",
    forget_an_accepted_payment: "I5 an accepted payment is lost",
    admit_twice: "I9 a code admits once",
    lose_a_scan: "I5 an acknowledged scan is lost",
    charge_for_nothing: "I4 the ledger agrees",
    pay_back_in_secret: "I4 what was paid back agrees",
    count_wrongly: "I1 the counters are the reservations",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_each_planted_difference_is_found(
    lie: Callable[[Facts], None], readings: Readings, told: Facts
) -> None:
    lie(told)
    readings.audit(told)

    assert LIES[lie] in readings.kinds


def test_a_snapshot_finds_a_released_hold_that_is_held_again(readings: Readings, told: Facts) -> None:
    readings.new_round()  # older rows are left to the audit
    held = Reservation.objects.get(pk=told.claims["second"].answers[0][1])
    readings._floors = {"ticket_type": 0, "reservation": 0}
    Reservation.objects.filter(pk=held.pk).update(state="released", ended_at=held.created)
    Inventory.objects.update(held=0)
    readings._look()
    assert readings.violations == []
    Reservation.objects.filter(pk=held.pk).update(state="held", ended_at=None)
    Inventory.objects.update(held=1)
    readings._look()
    readings._forget_connection()

    assert dict(readings.kinds) == {"I2 a reservation ends once": 1}


def screen(shown: Any, *, owner: int | None) -> Screen:
    nobody: Any = None
    return Screen(nobody, "", "", {}, nobody, owner, 1, nobody, data=shown)


TRUTH = Truth(
    types={3: {"available": 4, "held": 1, "sold": 0}}, live={7: {5: "held"}}, owners={5: 7, 6: 8}
)  # fmt: skip


def test_a_screen_that_differs_is_found() -> None:
    right = {"tickets": [{"id": 3, "available": 4, "held": 1, "sold": 0}]}
    wrong = {"tickets": [{"id": 3, "available": 5, "held": 0, "sold": 0}]}

    assert differs(screen(right, owner=None), TRUTH) is None
    assert differs(screen(wrong, owner=None), TRUTH) is not None
    assert differs(screen(None, owner=None), TRUTH) is not None
    assert differs(screen({"reservations": [{"id": 5, "state": "held"}]}, owner=7), TRUTH) is None
    assert differs(screen({"reservations": []}, owner=7), TRUTH) is not None
    assert foreign(screen({"reservations": [{"id": 6, "state": "held"}]}, owner=7), TRUTH) == [6]


def test_only_a_refusal_means_that_nothing_was_done(tmp_path: Path) -> None:
    assert [outcome_of(status) for status in (0, 200, 404, 502)] == ["unknown", "ok", "failed", "unknown"]
    history = History(tmp_path / "history.jsonl")
    history.record("reserve", Answer(Outcome.OK, 201, {}), began=0.0, write=True)
    history.close()
    assert history.as_dict()["ok"] == 1
