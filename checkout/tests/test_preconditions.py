"""If-Match: a request that was made from an outdated version of a reservation or payment does nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Payment
from checkout.rules import Charge, Outcome
from checkout.tests.paying import PAYMENTS, expire, lapse, pay, states, work
from overlord.accounts.models import User
from overlord.kernel import preconditions
from tests.clients import api_of
from tests.threads import together
from tickets import services as tickets
from tickets.models import Event, Inventory, Reservation
from tickets.tests.reserving import RESERVATIONS

pytestmark = pytest.mark.django_db(transaction=True)


def send(api: APIClient, method: str, path: str, body: Any = None, *, made_from: str) -> Any:
    return getattr(api, method)(path, body, format="json", headers={"If-Match": made_from})


def hold(payment: Payment) -> str:
    return f"{RESERVATIONS}{payment.reservation_id}/"


def quoted(shown: Any) -> str:
    return f'"{shown["version"]}"'


def requests(payment: Payment) -> dict[str, tuple[str, str, Any]]:
    one = f"{PAYMENTS}{payment.pk}/"
    return {
        "resize": ("patch", hold(payment), {"amount": 3}),
        "release": ("delete", hold(payment), None),
        "remove": ("delete", one, None),
        "pay": ("post", f"{one}pay/", {"token": "ok"}),
    }


ALL = ["resize", "release", "remove", "pay"]


def seen(api: APIClient, payment: Payment, path: str) -> Any:
    return api.get(hold(payment) if path.startswith(RESERVATIONS) else f"{PAYMENTS}{payment.pk}/").json()


@pytest.mark.parametrize("what", ALL)
def test_what_was_read_last_is_changed(what: str, api: APIClient, payment: Payment) -> None:
    method, path, body = requests(payment)[what]
    assert send(api, method, path, body, made_from=quoted(seen(api, payment, path))).status_code < 300


@pytest.mark.parametrize("what", ALL)
def test_what_has_changed_since_is_not(what: str, api: APIClient, payment: Payment) -> None:
    method, path, body = requests(payment)[what]
    before = seen(api, payment, path)
    if path.startswith(RESERVATIONS):
        api.post(f"{hold(payment)}extend/")
        Reservation.objects.update(version=before["version"] + 1)  # whether it was extended or not
    else:
        pay(api, payment, "card_error")
        work(payment)
    after = seen(api, payment, path)

    refused = send(api, method, path, body, made_from=quoted(before))

    assert (refused.status_code, refused.json()["code"]) == (412, "outdated")
    assert refused.json()["version"] == after["version"]
    assert refused["Content-Type"] == "application/problem+json"
    assert seen(api, payment, path) == after
    assert states(payment) == ["held"]


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize("made_from", ["3", 'W/"1"', '"1", "2"', '"x"', '""', '"-1"', '"1_0"', '"\u0661"'])
def test_what_is_no_version_is_invalid(what: str, made_from: str, api: APIClient, payment: Payment) -> None:
    method, path, body = requests(payment)[what]
    refused = send(api, method, path, body, made_from=made_from)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["If-Match"])
    assert states(payment) == ["held"]


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize(("made_from", "is_done"), [("*", True), ('"9999999999999999999"', False)])
def test_any_version_and_one_that_never_was(
    what: str, made_from: str, is_done: bool, api: APIClient, payment: Payment
) -> None:
    method, path, body = requests(payment)[what]
    answer = send(api, method, path, body, made_from=made_from)
    assert (answer.status_code < 300) is is_done


def test_what_has_ended_or_is_paid_says_so_whatever_its_version(api: APIClient, payment: Payment) -> None:
    pay(api, payment)
    for what in ("resize", "release", "remove", "pay"):
        method, path, body = requests(payment)[what]
        assert send(api, method, path, body, made_from='"1"').status_code == 409
    work(payment)
    Reservation.objects.update(state="released", ended_at="2026-01-01T00:00:00Z")
    for what in ("resize", "release"):
        method, path, body = requests(payment)[what]
        assert send(api, method, path, body, made_from='"1"').json()["code"] == "reservation_ended"


@pytest.mark.parametrize("reason", ["reservation_expired", "event_cancelled"])
def test_an_order_that_cannot_be_paid_says_so_whatever_the_version(
    reason: str, api: APIClient, payment: Payment
) -> None:
    pay(api, payment, "card_error")
    work(payment)
    if reason == "reservation_expired":
        expire(payment)
    else:
        Inventory.objects.update(paused=True)
        Event.objects.update(status=Event.Status.CANCELLED)
    method, path, body = requests(payment)["pay"]

    refused = [send(api, method, path, body, made_from=each) for each in ('"1"', "*")]
    assert [each.json() for each in refused] == [refused[1].json()] * 2
    assert refused[0].json()["code"] == reason
    assert states(payment) == ["held"]


def test_anothers_payment_is_not_there_whatever_its_version(
    user_make: Callable[..., User], payment: Payment
) -> None:
    stranger = user_make()
    for method, path, body in requests(payment).values():
        assert send(api_of(stranger), method, path, body, made_from='"77"').status_code == 404


def resized_at_once(buyer: User, payment: Payment) -> list[Any]:
    """Ask four times at once for one ticket more, each time from the version that was read before."""
    held = Reservation.objects.get()
    return together(
        *[
            lambda: tickets.reservation_resize(
                buyer_id=buyer.pk,
                reservation_id=held.pk,
                quantity=held.quantity + 1,
                version=held.version,
            )
        ]
        * 4
    )


def test_of_many_from_one_version_one_is_done(buyer: User, payment: Payment) -> None:
    results = resized_at_once(buyer, payment)
    assert sorted(getattr(each, "code", "") for each in results) == ["", *["outdated"] * 3]


def test_without_the_check_all_are_done(
    buyer: User, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setattr(tickets, "check_version", lambda *_: None)
    results = resized_at_once(buyer, payment)
    assert [each["amount"] for each in results] == [3] * 4


def test_the_version_of_a_payment_does_not_cover_its_price(api: APIClient, payment: Payment) -> None:
    """It is what docs/errors.md says; `price` covers it."""
    before = seen(api, payment, PAYMENTS)
    api.patch(hold(payment), {"amount": 3}, format="json")
    after = seen(api, payment, PAYMENTS)
    assert (before["full_price"], after["full_price"]) == ("30.00", "45.00")
    assert before["version"] == after["version"]


def test_the_version_of_a_payment_in_flight_rises_with_its_status_and_its_step_only(
    api: APIClient, payment: Payment, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SANDBOX_FAULTS = {"confirm": "after", "retrieve": "before"}
    started = pay(api, payment).json()
    first = seen_after_a_look(api, payment)
    looks = [seen_after_a_look(api, payment) for _ in range(3)]

    assert (started["payment_status"], first["payment_status"]) == ("PENDING", "PROCESSING")
    assert first["version"] == started["version"] + 1
    assert looks == [first] * 3
    assert Payment.objects.get().attempts == 4, "a worker has looked each time"

    asked = Charge(outcome=Outcome.REQUIRES_ACTION, action={"type": "stripe", "client_secret": "s"})
    monkeypatch.setattr(SandboxGateway, "retrieve", lambda *_, **__: asked)
    steps = [seen_after_a_look(api, payment) for _ in range(2)]
    assert steps == [{**first, "requires_action": asked.action, "version": first["version"] + 1}] * 2


def seen_after_a_look(api: APIClient, payment: Payment) -> Any:
    lapse()
    work(payment)
    return seen(api, payment, PAYMENTS)


def test_a_header_that_is_absent_names_no_version() -> None:
    assert preconditions.version_of({}) is None
