"""The limits of log-in, sign-up and password reset, and the reset's mail."""

import re
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.test import APIClient

from overlord.accounts import limits, services, tasks
from overlord.accounts.models import User
from overlord.kernel import queues, redis_client
from overlord.kernel.rate_limits import Limit
from tests.threads import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("limits_on")]

PASSWORD = "correct horse"
MOST = limits.LOGIN_BY_ACCOUNT.amount


def api_log_in(username: str, password: str = PASSWORD, *, address: str = "203.0.113.7") -> Any:
    body = {"username": username, "password": password}
    headers = {"X-Forwarded-For": address, "Accept": "application/json"}
    return APIClient().post("/api-auth/login/", body, format="json", headers=headers)


def page_log_in(username: str, password: str = PASSWORD, *, path: str = "/login/") -> Any:
    return Client().post(path, {"username": username, "password": password}, headers={"Accept": "text/html"})


def test_fifty_log_ins_at_once_get_no_more_than_the_limit(buyer: User) -> None:
    """Try from fifty addresses, by every name of the account, with the right and with wrong passwords."""
    names = [buyer.username, buyer.username.upper(), buyer.email]
    answers = together(
        *[
            lambda n=n: api_log_in(names[n % 3], [PASSWORD, "wrong"][n % 2], address=f"198.51.100.{n}")
            for n in range(50)
        ]
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[429] == 50 - MOST
    assert statuses[200] + statuses[400] == MOST


def test_a_refusal_says_when_to_come_again(buyer: User) -> None:
    for _ in range(MOST):
        assert api_log_in(buyer.username, "wrong").status_code == 400
    refused = api_log_in(buyer.username)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused["Retry-After"]) <= limits.LOGIN_BY_ACCOUNT.seconds
    assert refused.json()["retry_after"] == int(refused["Retry-After"])


def test_an_unknown_name_has_the_same_limit(buyer: User) -> None:
    statuses = [api_log_in("nobody").status_code for _ in range(MOST + 1)]
    assert statuses == [400] * MOST + [429]


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_pages_answer_with_a_sentence(path: str, buyer: User) -> None:
    for _ in range(MOST):
        page_log_in(buyer.username, "wrong", path=path)
    refused = page_log_in(buyer.username, path=path)
    assert refused.status_code == 429
    assert "Too many attempts" in refused.content.decode()
    assert refused["Retry-After"]


def test_log_ins_by_api_page_and_admin_count_together(buyer: User) -> None:
    for _ in range(MOST):
        api_log_in(buyer.username, "wrong")
    assert page_log_in(buyer.username).status_code == 429
    assert page_log_in(buyer.username, path="/admin/login/").status_code == 429


def test_an_address_is_limited_also_with_a_forged_header(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Limit(name="login-address", amount=5, seconds=600)  # the real limit is of one minute
    monkeypatch.setattr(limits, "LOGIN_BY_ADDRESS", few)
    for n in range(few.amount):
        assert api_log_in(f"nobody{n}", address=f"10.0.0.{n}, 203.0.113.7").status_code == 400
    assert api_log_in("somebody", address="10.1.1.1, 203.0.113.7").status_code == 429
    assert api_log_in("somebody", address="203.0.113.8").status_code == 400


def test_sign_ups_are_limited_by_address() -> None:
    api = APIClient(headers={"X-Forwarded-For": "203.0.113.7"})
    statuses = {api.post("/register/", {}, format="json").status_code for _ in range(3)}
    assert statuses == {400}, "an invalid sign-up is not counted"
    body = {"email": "taken@example.org", "password": "short77"}
    for _ in range(limits.SIGNUP_BY_ADDRESS.amount):
        page = Client(headers={"X-Forwarded-For": "203.0.113.7"})
        assert page.post("/signup/", body).status_code == 200
    body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
    assert api.post("/register/", body, format="json").status_code == 429
    assert not User.objects.exists()


# Reset ---------------------------------------------------------------------------------------------------
def reset(email: str, *, address: str = "203.0.113.7") -> Any:
    headers = {"X-Forwarded-For": address, "Host": "evil.example", "Accept": "text/html"}
    return Client().post("/password-reset/", {"email": email}, headers=headers)


def waiting() -> int:
    """Count the messages to the worker about mails, those too that send nothing."""
    return redis_client.connection().llen("mail")


@pytest.mark.parametrize("email", ["ADA@example.org", "nobody@example.org"])
def test_an_account_gets_only_so_many_mails_and_the_answers_do_not_tell_which_exist(
    email: str, user_make: Callable[..., User]
) -> None:
    user_make(username="ada")
    answers = together(*[lambda n=n: reset(email, address=f"198.51.100.{n}") for n in range(30)])
    statuses = Counter(answer.status_code for answer in answers)
    most = limits.RESET_BY_ACCOUNT.amount
    assert statuses == {302: most, 429: 30 - most}
    assert waiting() == most


def test_known_and_unknown_accounts_take_the_same_queries(
    buyer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for email in (buyer.email, "nobody@example.org"):
        with django_assert_num_queries(1):
            assert reset(email)["Location"] == "/password-reset/sent/"
    assert waiting() == 2


def test_one_address_is_limited() -> None:
    for n in range(limits.RESET_BY_ADDRESS.amount):
        assert reset(f"n{n}@example.org").status_code == 302
    refused = reset("last@example.org")
    assert refused.status_code == 429
    assert "Too many attempts" in refused.content.decode()


def test_without_a_broker_the_page_says_that_nothing_is_sent(
    buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        queues, "redis_client", SimpleNamespace(broker=lambda: Redis(port=1, retry=Retry(NoBackoff(), 0)))
    )
    assert reset(buyer.email).status_code == 503
    assert reset("nobody@example.org").status_code == 503


def test_the_mail_leads_to_our_own_address_and_its_link_works_once(buyer: User, settings: Any) -> None:
    settings.BASE_URL = "https://tickets.example.org"
    reset(buyer.email.upper())
    tasks.password_reset_send(user_id=buyer.pk)

    [letter] = mail.outbox
    assert letter.to == [buyer.email]
    [link] = re.findall(r"https?://\S+", letter.body)
    place = link.removeprefix("https://tickets.example.org")
    client = Client()
    form = client.get(place, follow=True).redirect_chain[-1][0]
    for long in ("x" * 129, "short77"):
        refused = client.post(form, {"new_password1": long, "new_password2": long})
        assert refused.status_code == 200
    longest = "longest" + "x" * 121
    said = client.post(form, {"new_password1": longest, "new_password2": longest}, follow=True)
    assert "Your password has been changed." in said.content.decode()
    assert api_log_in(buyer.email, longest).status_code == 200
    assert "no longer works" in Client().get(place, follow=True).content.decode()


@pytest.mark.parametrize("fields", [{"is_active": False}, {"password": "!"}])
def test_a_user_without_a_password_gets_no_mail(fields: dict[str, Any], buyer: User) -> None:
    User.objects.update(**fields)
    assert reset(buyer.email).status_code == 302
    services.password_reset_send(user_id=0, base_url="http://localhost")
    assert mail.outbox == []
