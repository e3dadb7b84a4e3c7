"""A buyer may try to pay only so often, and nobody at the same address can use up these tries."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from checkout import limits
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS
from overlord.accounts.models import User
from overlord.kernel import rate_limits
from tests.clients import api_of
from tests.threads import together
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("limits_on")]

SCHOOL = "203.0.113.7"
MOST = limits.PAY_FIRST.amount + limits.PAY_AGAIN_BY_BUYER.amount


def paying(api: Any, ticket_type: TicketType) -> Any:
    held = reserve(api, ticket_type).json()["id"]
    payment = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]
    return api.post(
        f"{PAYMENTS}{payment}/pay/", {"token": "ok"}, format="json", headers={"X-Forwarded-For": SCHOOL}
    )


def count(user: User, tries: int) -> list[int]:
    """Try to pay for a payment that does not exist, which counts like any other try."""
    api = api_of(user)
    headers = {"X-Forwarded-For": SCHOOL}
    return [
        api.post(f"{PAYMENTS}1/pay/", {"token": "ok"}, format="json", headers=headers).status_code
        for _ in range(tries)
    ]


def test_a_buyer_may_try_only_so_often(buyer: User) -> None:
    assert count(buyer, MOST + 1) == [404] * MOST + [429]


def test_fifty_at_once_get_no_more(buyer: User) -> None:
    statuses = together(*[lambda: count(buyer, 1)[0]] * 50)
    assert sorted(statuses) == [404] * MOST + [429] * (50 - MOST)


def test_a_buyer_who_tries_many_cards_uses_up_no_tries_of_a_neighbour(
    user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rate_limits.Limit(name="pay-again-address", amount=4, seconds=600)
    monkeypatch.setattr(limits, "PAY_AGAIN_BY_ADDRESS", few)
    assert count(user_make(), 8) == [404] * 7 + [429]
    assert count(user_make(), 4) == [404] * 3 + [429], "the address has no more tries of that kind"
    assert paying(api_of(user_make()), ticket_type).status_code == 202
    assert Payment.objects.get().status == "PENDING"


def test_the_page_says_when_to_try_again_and_keeps_the_card(buyer: User, ticket_type: TicketType) -> None:
    held = reserve(api_of(buyer), ticket_type).json()["id"]
    count(buyer, MOST)
    page = Client(headers={"accept": "text/html"})
    page.force_login(buyer)
    answer = page.post(f"/checkout/{held}/pay/", {"token": "slow"})
    assert (answer.status_code, bool(answer["Retry-After"])) == (429, True)
    assert "Too many attempts" in answer.content.decode()
    assert 'value="slow" selected' in answer.content.decode()


def test_guesses_of_account_addresses_soon_get_the_same_answer_for_any_address(
    user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rate_limits.Limit(name="taken-buyer", amount=2, seconds=600)
    monkeypatch.setattr(limits, "TAKEN_BY_BUYER", few)
    taken = [user_make().email for _ in range(3)]
    guest = api_of(user_make(is_guest=True, email=""))
    held = reserve(guest, ticket_type).json()["id"]

    def name(**email: str) -> int:
        status: int = guest.post(PAYMENTS, {"reservation_id": held, **email}, format="json").status_code
        return status

    tried = [name(email=each) for each in [*taken, "nobody@example.org"]]
    assert tried == [409, 409, 429, 429]
    assert name() == 201, "without an address all goes on"


def test_an_address_without_an_account_is_not_counted(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    guest = api_of(user_make(is_guest=True, email=""))
    body = {"reservation_id": reserve(guest, ticket_type).json()["id"], "email": "ada@example.org"}
    tried = {guest.post(PAYMENTS, body, format="json").status_code for _ in range(12)}
    assert tried == {201, 200}


def test_guesses_of_one_address_are_counted_together(
    user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        limits, "TAKEN_BY_ADDRESS", rate_limits.Limit(name="taken-address", amount=2, seconds=600)
    )
    taken, tried = user_make().email, []
    for _ in range(3):
        guest = api_of(user_make(is_guest=True, email=""))
        body = {"reservation_id": reserve(guest, ticket_type).json()["id"], "email": taken}
        tried.append(guest.post(PAYMENTS, body, format="json").status_code)

    assert tried == [409, 409, 429]
