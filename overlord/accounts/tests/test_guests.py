"""Guests by API: they have no account at first, and later an account with all their orders."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts import limits, operations, selectors, services
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of, token_of
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

CLAIM = {"username": "ada", "email": "ada@example.org", "password": "correct horse"}
MINE = "/event/reservations/"


def guest(**headers: str) -> tuple[dict[str, Any], APIClient, APIClient]:
    """Return the answer to a new guest, and two clients of the guest: by token, and by session."""
    browser = APIClient(headers=headers)
    answer = browser.post("/register/guest/")
    assert answer.status_code == 201, answer.content
    told = answer.json()
    return told, APIClient(headers={"Authorization": f"Token {told['token']}"}), browser


def test_a_guest_is_known_by_token_and_by_cookie(ticket_type: TicketType) -> None:
    told, api, browser = guest()
    assert told.keys() == {"id", "token"}
    body = {"ticket_type": ticket_type.pk, "amount": 2}
    held = api.post(MINE, body, format="json").json()["id"]
    assert [each["id"] for each in browser.get(MINE).json()["results"]] == [held]
    user = User.objects.get(pk=told["id"])
    assert (user.is_guest, user.email, user.has_usable_password()) == (True, "", False)


def test_each_new_guest_is_another_user() -> None:
    answers = together(*[lambda: guest()[0] for _ in range(8)])
    assert len({each["id"] for each in answers}) == 8  # type: ignore[index]


def test_a_guest_becomes_an_account_and_keeps_all(ticket_type: TicketType) -> None:
    told, api, browser = guest()
    held = api.post(MINE, {"ticket_type": ticket_type.pk, "amount": 1}, format="json").json()["id"]

    answer = api.post("/register/claim/", CLAIM, format="json")

    assert (answer.status_code, answer.json()) == (
        200,
        {"id": told["id"], "username": "ada", "email": "ada@example.org"},
    )
    body = {"username": "ada@example.org", "password": CLAIM["password"]}
    token = APIClient().post("/api-auth/login/", body, format="json").json()["token"]
    for client in (api, browser, APIClient(headers={"Authorization": f"Token {token}"})):
        assert [each["id"] for each in client.get(MINE).json()["results"]] == [held]


def test_a_session_claims_with_its_csrf_token_only() -> None:
    told, _, _ = guest()
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(pk=told["id"]))
    assert browser.post("/register/claim/", CLAIM, format="json").status_code == 403


def test_only_a_guest_claims_and_only_once(buyer: User) -> None:
    assert APIClient().post("/register/claim/", CLAIM, format="json").status_code == 401
    account = APIClient(headers={"Authorization": f"Token {token_of(buyer)}"})
    refused = account.post("/register/claim/", CLAIM, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_a_guest")
    _, api, _ = guest()
    answers = together(
        *[
            lambda n=n: api.post(
                "/register/claim/", {**CLAIM, "username": f"n{n}", "email": f"{n}@example.org"}, format="json"
            )
            for n in range(4)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]  # type: ignore[attr-defined]


def test_a_guest_who_is_erased_at_that_moment_becomes_no_account() -> None:
    told, _, _ = guest()
    begun = threading.Event()

    def erase() -> None:
        with db.transaction():
            operations.user_anonymise(user_id=told["id"])
            begun.set()
            waiting_for_a_lock(1)

    def claim() -> None:
        begun.wait(60)
        services.guest_claim(user_id=told["id"], **CLAIM)

    assert isinstance(together(erase, claim)[1], services.NotAGuest)
    erased = User.objects.get(pk=told["id"])
    assert (erased.email, erased.has_usable_password()) == ("", False)
    assert erased.username.startswith("erased-")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "TAKEN@example.org"}, "email"),
        ({"username": "TAKEN"}, "username"),
        ({"username": "a@b.example"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"email": ""}, "email"),
    ],
)
def test_a_claim_is_refused_as_a_sign_up_is(changes: dict[str, str], field: str, user_make: Any) -> None:
    user_make(username="taken", email="taken@example.org")
    told, api, _ = guest()
    answer = api.post("/register/claim/", {**CLAIM, **changes}, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert User.objects.get(pk=told["id"]).is_guest


def test_nobody_logs_in_as_a_guest_or_resets_one() -> None:
    told, _, _ = guest()
    user = User.objects.get(pk=told["id"])
    body = {"username": user.username, "password": "correct horse"}
    assert APIClient().post("/api-auth/login/", body, format="json").status_code == 400
    assert selectors.user_id_to_reset(email="") is None
    assert mail.outbox == []


def test_a_new_password_after_the_first_ends_earlier_log_ins() -> None:
    told, api, browser = guest()
    api.post("/register/claim/", CLAIM, format="json")
    user = User.objects.get(pk=told["id"])
    user.set_password("another battery")
    user.save()
    assert selectors.users_of_tokens(key_hashes=[user.api_tokens.get().pk]) == {}
    assert browser.get(MINE).status_code == 401


def test_the_database_lets_no_guest_be_staff() -> None:
    guest()
    with pytest.raises(IntegrityError, match="user_guest_is_not_staff"):
        User.objects.update(is_staff=True)


def test_guests_are_limited_by_address(settings: Any) -> None:
    settings.RATE_LIMITS = True
    client = Client(headers={"X-Forwarded-For": "203.0.113.9"})
    statuses = [client.post("/register/guest").status_code for _ in range(limits.GUEST_BY_ADDRESS.amount + 1)]
    assert statuses[-2:] == [201, 429]


def test_a_request_from_another_origin_makes_no_guest() -> None:
    answer = APIClient().post("/register/guest/", headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")


class TestLoggingIn:
    """A guest's holds pass to the account, by API as on pages."""

    def log_in(self, client: APIClient, user: User) -> int:
        body = {"username": user.username, "password": CLAIM["password"]}
        return int(client.post("/api-auth/login/", body, format="json").status_code)

    def hold(self, client: APIClient, *types: TicketType) -> list[int]:
        items = [{"ticket_type": each.pk, "amount": 1} for each in types]
        made = client.post("/event/reservations/batch/", {"items": items}, format="json")
        assert made.status_code == 201, made.content
        return [each["id"] for each in made.json()["reservations"]]

    def ids_of(self, user: User) -> set[int]:
        return {each["id"] for each in api_of(user).get(MINE).json()["results"]}

    @pytest.mark.parametrize("by", ["token", "session"])
    def test_all_orders_follow_and_end_when_they_would_have_ended(
        self, by: str, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        stalls = ticket_type_make()
        _, api, browser = guest()
        held = self.hold(api, stalls, ticket_type_make(event=stalls.event)) + self.hold(
            api, ticket_type_make()
        )
        ends = list(Reservation.objects.order_by("id").values_list("id", "expires_at"))
        payment = api.post("/payment/payments/", {"reservation_id": held[0]}, format="json").json()["id"]

        assert self.log_in(api if by == "token" else browser, buyer) == 200

        assert self.ids_of(buyer) == set(held)
        assert list(Reservation.objects.order_by("id").values_list("id", "expires_at")) == ends
        paid = api_of(buyer).post(f"/payment/payments/{payment}/pay/", {"token": "ok"}, format="json")
        assert paid.status_code == 202, paid.content

    def test_a_guest_who_signs_up_and_logs_in_keeps_the_hold(self, ticket_type: TicketType) -> None:
        _, api, _ = guest()
        held = self.hold(api, ticket_type)
        assert api.post("/register/", CLAIM, format="json").status_code == 201
        user = User.objects.get(username="ada")
        assert self.log_in(api, user) == 200
        assert self.ids_of(user) == set(held)

    def test_an_order_that_cannot_follow_stays_and_the_others_follow(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        twice, paying, free = (ticket_type_make() for _ in range(3))
        own = self.hold(api_of(buyer), twice)
        told, api, _ = guest()
        User.objects.filter(pk=told["id"]).update(contact_email="ada@example.org")
        stays = self.hold(api, twice)
        goes = self.hold(api, paying) + self.hold(api, free)
        Reservation.objects.filter(pk=goes[0]).update(state="paying", paying_since=timezone.now())

        assert self.log_in(api, buyer) == 200

        assert self.ids_of(buyer) == {*own, *goes}
        assert {each["id"] for each in api.get(MINE).json()["results"]} == set(stays)

    @pytest.mark.parametrize("header", ["Token nonsense", "Token", "Bearer x", ""])
    def test_nothing_follows_from_anybody_else(
        self, header: str, buyer: User, ticket_type: TicketType
    ) -> None:
        _, api, _ = guest()
        held = self.hold(api, ticket_type)
        assert self.log_in(APIClient(headers={"Authorization": header} if header else {}), buyer) == 200
        assert self.ids_of(buyer) == set()
        assert {each["id"] for each in api.get(MINE).json()["results"]} == set(held)

    def test_nothing_follows_a_wrong_password(self, buyer: User, ticket_type: TicketType) -> None:
        _, api, _ = guest()
        self.hold(api, ticket_type)
        body = {"username": buyer.username, "password": "wrong"}
        assert api.post("/api-auth/login/", body, format="json").status_code == 400
        assert self.ids_of(buyer) == set()

    def test_holds_of_an_account_do_not_follow(
        self, buyer: User, user_make: Any, ticket_type: TicketType
    ) -> None:
        other = user_make()
        api = api_of(other)
        held = self.hold(api, ticket_type)
        assert self.log_in(api, buyer) == 200
        assert self.ids_of(buyer) == set()
        assert self.ids_of(other) == set(held)
