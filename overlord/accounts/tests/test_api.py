"""The accounts API, as clients and browser forms use it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from overlord.accounts import selectors
from overlord.accounts.models import ApiToken, User
from tests.clients import api_of, token_of
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

NEW = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
LOGIN = "/api-auth/login/"


def register(**changes: Any) -> Any:
    return APIClient().post("/register/", {**NEW, **changes}, format="json")


class TestRegister:
    def test_an_account_is_created(self) -> None:
        answer = register()

        user = User.objects.get()
        assert answer.status_code == 201
        assert answer.json() == {"id": user.pk, "username": "Ada", "email": "ada@example.org"}
        assert user.check_password("correct horse")

    def test_a_form_encoded_body_is_accepted(self) -> None:
        assert Client().post("/register", NEW).status_code == 201

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"username": "ADA", "email": "other@example.org"}, "username"),
            ({"username": "Ada", "email": "other@example.org"}, "username"),
            ({"username": "Bob", "email": "ADA@example.org"}, "email"),
        ],
    )
    def test_usernames_and_addresses_are_unique_ignoring_case(
        self, changes: dict[str, str], field: str
    ) -> None:
        register()

        answer = register(**changes)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == [field]
        assert User.objects.count() == 1

    def test_of_four_at_the_same_time_one_gets_the_username(self) -> None:
        answers = together(*[lambda n=n: register(email=f"{n}@example.org") for n in range(4)])

        assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "changes",
        [
            {"password": "short"},
            {"password": "12345678901"},
            {"password": "password"},
            {"email": "nowhere"},
            {"username": "with space"},
            {"username": ""},
            {"username": "x" * 151},
            {"username": "nul\x00"},
        ],
    )
    def test_bad_input_is_400_and_creates_nothing(self, changes: dict[str, str]) -> None:
        answer = register(**changes)

        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == list(changes)
        assert NEW["password"] not in answer.content.decode()
        assert User.objects.count() == 0


class TestLogin:
    @pytest.fixture(autouse=True)
    def ada(self) -> None:
        register()

    def test_log_in_gives_a_token_and_a_session(self) -> None:
        client = APIClient()
        answer = client.post(LOGIN, {"username": "Ada", "password": NEW["password"]}, format="json")

        token = answer.json()["token"]
        assert answer.status_code == 200
        assert (
            APIClient(headers={"Authorization": f"Token {token}"}).get("/event/reservations/").status_code
            == 200
        )
        assert client.get("/event/reservations/").status_code == 200

    def test_the_case_of_the_username_does_not_matter(self) -> None:
        body = {"username": "aDA", "password": NEW["password"]}
        assert APIClient().post(LOGIN, body, format="json").status_code == 200

    @pytest.mark.parametrize("accept", ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8"])
    def test_a_browser_form_is_redirected_to_the_reservations(self, accept: str) -> None:
        client = Client(headers={"Accept": accept})
        answer = client.post(LOGIN, {"username": "Ada", "password": NEW["password"]})

        assert (answer.status_code, answer["Location"]) == (302, "/event/reservations/")
        assert client.get("/event/reservations/").status_code == 200

    @pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
    def test_a_body_in_json_is_no_browser_form(self, kind: str) -> None:
        body = json.dumps({"username": "Ada", "password": NEW["password"]})
        answer = Client(headers={"Accept": "text/html"}).post(LOGIN, body, content_type=kind)

        assert (answer.status_code, list(answer.json())) == (200, ["token"])

    @pytest.mark.parametrize(
        "body", [{"username": "Ada", "password": "wrong"}, {"username": "Eve", "password": "x"}]
    )
    def test_wrong_credentials_are_400(self, body: dict[str, str]) -> None:
        answer = APIClient().post(LOGIN, body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_credentials")

    def test_a_deactivated_user_cannot_log_in(self) -> None:
        User.objects.update(is_active=False)
        body = {"username": "Ada", "password": NEW["password"]}
        assert APIClient().post(LOGIN, body, format="json").status_code == 400

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("http://testserver", 200),
            ("http://testserver:80", 200),
            ("https://testserver", 403),
            ("http://testserver:8080", 403),
            ("http://evil.example", 403),
            ("null", 403),
            ("http://testserver:port", 403),
        ],
    )
    def test_another_origin_is_refused(self, origin: str, status: int) -> None:
        body = {"username": "Ada", "password": NEW["password"]}
        answer = APIClient().post(LOGIN, body, format="json", headers={"Origin": origin})
        assert answer.status_code == status


class TestLogout:
    def test_log_out_ends_the_session(self, buyer: User) -> None:
        client = APIClient()
        client.force_login(buyer)
        assert client.get("/event/reservations/").status_code == 200

        assert client.post("/api-auth/logout/").status_code == 204
        assert client.get("/event/reservations/").status_code == 401

    def test_a_session_needs_its_csrf_token(self, buyer: User) -> None:
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(buyer)

        assert client.post("/api-auth/logout/").status_code == 403
        assert client.post("/event/reservations/", {}, format="json").status_code == 403
        assert client.get("/event/reservations/").status_code == 200

    def test_log_out_ends_the_token_that_was_sent(self, buyer: User) -> None:
        api = api_of(buyer)

        assert api.post("/api-auth/logout/").status_code == 204
        assert api.get("/event/reservations/").status_code == 401
        assert not ApiToken.objects.exists()


class TestSelectors:
    def test_users_are_found_by_session_and_by_token(self, user_make: Callable[..., User]) -> None:
        user = user_make()
        client = Client()
        client.force_login(user)
        session_key = client.session.session_key or ""
        token = ApiToken.hash_of(token_of(user))

        assert selectors.users_of_sessions(session_keys=[session_key, "nothing"]) == {session_key: user}
        assert selectors.users_of_tokens(key_hashes=[token, "nothing"]) == {token: user}

        user.set_password("another one")
        user.save()
        assert selectors.users_of_sessions(session_keys=[session_key]) == {}

    def test_a_deactivated_user_is_not_found(self, user_make: Callable[..., User]) -> None:
        user = user_make(is_active=False)
        assert selectors.users_of_tokens(key_hashes=[ApiToken.hash_of(token_of(user))]) == {}
