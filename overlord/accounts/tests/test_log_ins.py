"""The tokens, sessions and sockets that a log-in opens, and everything that ends them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts import selectors, services, token_cache
from overlord.accounts.hashers import Argon2idHasher
from overlord.accounts.models import ApiToken, User
from overlord.accounts.token_cache import TokenCache
from overlord.kernel import db
from tests.clients import api_of, token_of
from tests.system import eventually

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse"
NEW = "another long pass phrase"
MINE = "/event/reservations/"


@dataclass
class Opened:
    """The token and session of one log-in by API and one by page."""

    key: str
    browser: Client

    def token_works(self) -> bool:
        return APIClient(headers={"Authorization": f"Token {self.key}"}).get(MINE).status_code == 200

    def session_works(self) -> bool:
        return self.browser.get(MINE).status_code == 200

    def sockets_by(self) -> set[str]:
        """Return the credentials with which a socket would still be admitted."""
        session = self.browser.session.session_key or ""
        token = ApiToken.hash_of(self.key)
        by_session = selectors.users_of_sessions(session_keys=[session])
        by_token = selectors.users_of_tokens(key_hashes=[token])
        return {"session" for _ in by_session} | {"token" for _ in by_token}

    def all_works(self) -> bool:
        return self.token_works() and self.session_works() and self.sockets_by() == {"session", "token"}

    def all_ended(self) -> bool:
        return not self.token_works() and self.sockets_by() == set() and not self.session_works()


def log_in(username: str, password: str = PASSWORD) -> str:
    answer = APIClient().post("/api-auth/login/", {"username": username, "password": password}, format="json")
    assert answer.status_code == 200
    return str(answer.json()["token"])


@pytest.fixture
def opened(buyer: User) -> Opened:
    """Return log-ins of the buyer, each of which works."""
    browser = Client()
    browser.force_login(buyer)
    opened = Opened(key=log_in(buyer.username), browser=browser)
    assert opened.all_works()
    return opened


# Tokens --------------------------------------------------------------------------------------------------
def test_each_log_in_has_a_token_of_its_own(buyer: User) -> None:
    first, second = log_in(buyer.username), log_in(buyer.username)
    assert first != second
    APIClient(headers={"Authorization": f"Token {first}"}).post("/api-auth/logout/")
    assert not Opened(first, Client()).token_works()
    assert Opened(second, Client()).token_works()


def test_no_table_has_a_token_that_works(buyer: User, opened: Opened) -> None:
    [row] = db.rows("SELECT t.*::text AS row FROM accounts_apitoken t WHERE user_id = %s", [buyer.pk])
    assert opened.key not in row["row"]
    assert not Opened(ApiToken.objects.get().pk, Client()).token_works()


def test_the_admin_shows_no_token(user_make: Callable[..., User], opened: Opened) -> None:
    root = Client()
    root.force_login(user_make(is_staff=True, is_superuser=True))
    assert "/admin/accounts/user/" in (index := root.get("/admin/").content.decode())
    assert not re.search(r"/admin/\w*/?\w*token", index)
    page = root.get(f"/admin/accounts/user/{User.objects.order_by('pk')[0].pk}/change/").content.decode()
    assert ApiToken.objects.get().pk not in page


def test_a_token_ends_after_its_lifetime(buyer: User, settings: Any) -> None:
    settings.TOKEN_LIFETIME = timedelta(days=3)
    opened = Opened(log_in(buyer.username), Client())
    token = ApiToken.objects.get()
    assert token.expires_at - token.created_at == timedelta(days=3)
    ApiToken.objects.update(expires_at=timezone.now())
    assert not opened.token_works()
    assert opened.sockets_by() == set()


def test_the_next_log_in_removes_tokens_that_have_ended(buyer: User, user_make: Callable[..., User]) -> None:
    other = user_make()
    token_of(other)
    log_in(buyer.username)
    ApiToken.objects.update(expires_at=timezone.now())
    kept = ApiToken.hash_of(log_in(buyer.username))
    assert set(buyer.api_tokens.values_list("pk", flat=True)) == {kept}
    assert other.api_tokens.count() == 1


# A new password, through every door ----------------------------------------------------------------------
def reset_page(buyer: User) -> None:
    client = Client()
    services.password_reset_send(user_id=buyer.pk, base_url="http://localhost")
    [link] = re.findall(r"http://localhost(\S+)", mail.outbox[0].body)
    form = client.get(link, follow=True).redirect_chain[-1][0]
    said = client.post(form, {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your password has been changed." in said.content.decode()


def admin_page(buyer: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.org", PASSWORD))
    answer = client.post(
        f"/admin/accounts/user/{buyer.pk}/password/",
        {"usable_password": "true", "password1": NEW, "password2": NEW},
    )
    assert answer.status_code == 302


def admin_page_disables(buyer: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.org", PASSWORD))
    answer = client.post(
        f"/admin/accounts/user/{buyer.pk}/password/",
        {"usable_password": "false", "password1": "", "password2": "", "unset-password": "1"},
    )
    assert answer.status_code == 302


def own_admin_page(buyer: User) -> None:
    User.objects.filter(pk=buyer.pk).update(is_staff=True)
    client = Client()
    client.force_login(buyer)
    body = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/admin/password_change/", body).status_code == 302
    assert client.get(MINE).status_code == 200, "the session that changed it goes on"


def command(buyer: User) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getpass", lambda prompt="": NEW)
        call_command("changepassword", buyer.username, verbosity=0)


def statement(buyer: User) -> None:
    db.rows("UPDATE accounts_user SET password = 'md5$x$y' WHERE id = %s", [buyer.pk])


def old_copy_saved(buyer: User) -> None:
    """Make two changes at once: the second overwrites the first, from an older copy."""
    copy = User.objects.get(pk=buyer.pk)
    buyer.set_password("a first new one")
    buyer.save()
    copy.set_password(NEW)
    copy.save()


def all_by_token(buyer: User) -> None:
    api = APIClient(headers={"Authorization": f"Token {log_in(buyer.username)}"})
    assert api.post("/api-auth/logout-all/").status_code == 204
    assert api.get(MINE).status_code == 401


def all_by_session(buyer: User) -> None:
    client = Client()
    client.force_login(buyer)
    assert client.post("/api-auth/logout-all").status_code == 204
    assert client.get(MINE).status_code == 401


def all_by_form(buyer: User) -> None:
    client = Client(headers={"Accept": "text/html"})
    client.force_login(buyer)
    assert 'action="/api-auth/logout-all/"' in client.get("/me/").content.decode()
    answer = client.post("/api-auth/logout-all/", {"any": "form"})
    assert (answer.status_code, answer["Location"]) == (302, "/login/")
    assert "You are logged out on all devices." in client.get("/login/").content.decode()


DOORS = [
    reset_page,
    admin_page,
    admin_page_disables,
    own_admin_page,
    command,
    statement,
    old_copy_saved,
    all_by_token,
    all_by_session,
    all_by_form,
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_new_password_ends_all_log_ins(
    door: Callable[[User], None], buyer: User, opened: Opened, user_make: Callable[..., User]
) -> None:
    other = Opened(key=token_of(user_make()), browser=Client())
    door(buyer)
    assert eventually(opened.all_ended)
    assert other.token_works()


@contextmanager
def without_trigger() -> Iterator[None]:
    db.rows("ALTER TABLE accounts_user DISABLE TRIGGER login_epoch")
    try:
        yield
    finally:
        db.rows("ALTER TABLE accounts_user ENABLE TRIGGER login_epoch")


def test_control_without_the_trigger_a_statement_ends_nothing(buyer: User, opened: Opened) -> None:
    with without_trigger():
        statement(buyer)
    assert opened.all_works()


def test_saving_an_old_copy_does_not_bring_back_ended_log_ins(buyer: User, opened: Opened) -> None:
    copy = User.objects.get(pk=buyer.pk)
    services.logins_end(user_id=buyer.pk)
    copy.first_name = "Ada"
    copy.save()
    assert eventually(opened.all_ended)


def test_logout_all_needs_a_log_in(buyer: User) -> None:
    assert APIClient().post("/api-auth/logout-all/").status_code == 401
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(buyer)
    assert client.post("/api-auth/logout-all/").status_code == 403


def test_a_log_in_during_a_change_of_password_opens_nothing(buyer: User) -> None:
    """Change the password after the log-in has checked the old one, and before it makes its token."""
    found = authenticate(username=buyer.username, password=PASSWORD)
    assert isinstance(found, User)
    statement(buyer)
    key = services.token_issue(user=found, lifetime=timedelta(days=1), now=timezone.now())
    browser = Client()
    browser.force_login(found)
    assert Opened(key, browser).all_ended()


@pytest.mark.parametrize("is_new_password", [False, True])
def test_an_answer_to_the_old_session_does_not_delete_the_new_one(
    is_new_password: bool, buyer: User, opened: Opened, user_make: Callable[..., User]
) -> None:
    """Log in in one tab, while another tab has just sent a request with the old cookie."""
    late = Client()
    late.cookies.load({"sessionid": opened.browser.cookies["sessionid"].value})
    if is_new_password:
        statement(buyer)
    opened.browser.force_login(User.objects.get(pk=buyer.pk) if is_new_password else user_make())

    for answer in (late.get("/me/"), late.head("/me/"), late.get(MINE)):
        assert answer.status_code in (302, 401)
        assert answer.cookies == {}
        assert "Cookie" in answer["Vary"]
    assert late.post("/logout/").cookies["sessionid"].value == "", "a log-out deletes the cookie"


def test_saving_anything_else_ends_nothing(buyer: User, opened: Opened) -> None:
    user = User.objects.get(pk=buyer.pk)
    user.first_name = "Ada"
    user.save()
    assert opened.all_works()


# An outdated hash ----------------------------------------------------------------------------------------
@pytest.fixture
def outdated(buyer: User, opened: Opened, settings: Any) -> Opened:
    """Give the buyer's password an outdated hash, and log the buyer in."""
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[1:]  # those of the running system
    db.rows(
        "SELECT accounts_password_rehash(%s, password, %s) FROM accounts_user WHERE id = %s",
        [buyer.pk, PBKDF2PasswordHasher().encode(PASSWORD, "salt", 10), buyer.pk],
    )
    assert opened.all_works()
    return opened


def hash_of(user: User) -> str:
    return User.objects.get(pk=user.pk).password


def test_a_log_in_replaces_an_outdated_hash_and_ends_nothing(buyer: User, outdated: Opened) -> None:
    assert hash_of(buyer).startswith("pbkdf2_sha256$10$")
    key = log_in(buyer.username)
    assert hash_of(buyer).startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert User.objects.get(pk=buyer.pk).check_password(PASSWORD)
    assert outdated.all_works()
    assert Opened(key, Client()).token_works()


def test_a_wrong_password_replaces_nothing(buyer: User, outdated: Opened) -> None:
    before = hash_of(buyer)
    assert (
        APIClient().post("/api-auth/login/", {"username": buyer.username, "password": "no"}).status_code
        == 400
    )
    assert hash_of(buyer) == before


def test_a_new_hash_does_not_undo_a_new_password(buyer: User, outdated: Opened) -> None:
    """Change the password after the log-in has read the old hash, and before it writes the new one."""
    copy = User.objects.get(pk=buyer.pk)
    buyer.refresh_from_db()
    buyer.set_password(NEW)
    buyer.save()
    assert copy.check_password(PASSWORD)
    assert User.objects.get(pk=buyer.pk).check_password(NEW)
    assert eventually(outdated.all_ended)


def test_an_unknown_name_takes_the_same_hash(settings: Any) -> None:
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[1:]
    hashed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        really = Argon2idHasher.encode
        patch.setattr(
            Argon2idHasher,
            "encode",
            lambda self, password, salt: hashed.append(really(self, password, salt)) or hashed[-1],
        )
        assert authenticate(username="nobody", password=PASSWORD) is None
    assert [each.split("$")[3] for each in hashed] == ["m=19456,t=2,p=1"]


class TestOwnTokens:
    def test_a_token_is_listed_and_ended_by_its_owner_only(self, buyer: User, user_make: Any) -> None:
        first, second, other = api_of(buyer), api_of(buyer), api_of(user_make())
        found = first.get("/api-auth/tokens/").json()
        assert [each["current"] for each in found] == [False, True]
        assert found[0].keys() == {"id", "created", "last_used", "expires_at", "second_factor", "current"}
        assert other.delete(f"/api-auth/tokens/{found[0]['id']}/").status_code == 404
        assert second.get("/api-auth/tokens/").status_code == 200
        assert first.delete(f"/api-auth/tokens/{found[0]['id']}/").status_code == 204
        assert second.get("/api-auth/tokens/").status_code == 401
        assert first.delete(f"/api-auth/tokens/{found[0]['id']}/").status_code == 404
        assert len(first.get("/api-auth/tokens/").json()) == 1

    def test_its_times_are_in_utc_whatever_the_time_zone_of_the_shop(
        self, buyer: User, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        api = api_of(buyer)
        ApiToken.objects.update(last_used_at=timezone.now())
        [shown] = api.get("/api-auth/tokens/").json()
        token = ApiToken.objects.get()
        for name, instant in (
            ("created", token.created_at),
            ("last_used", token.last_used_at),
            ("expires_at", token.expires_at),
        ):
            assert shown[name].endswith("Z")
            assert datetime.fromisoformat(shown[name]) == instant

    def test_the_page_shows_and_ends_tokens(self, buyer: User) -> None:
        api = api_of(buyer)
        client = Client(headers={"accept": "text/html"})
        client.force_login(buyer)
        assert "/account/tokens/" in client.get("/me/").content.decode()
        number = ApiToken.objects.get().number
        assert f"/account/tokens/{number}/end/" in client.get("/account/tokens/").content.decode()
        assert client.post(f"/account/tokens/{number}/end/").status_code == 302
        assert api.get("/event/reservations/").status_code == 401

    def test_the_page_does_not_deny_a_use_that_is_not_recorded(self, buyer: User) -> None:
        """A use in the first ten minutes after the log-in is not recorded."""
        api, client = api_of(buyer), Client(headers={"accept": "text/html"})
        client.force_login(buyer)
        assert api.get("/event/reservations/").status_code == 200
        assert ApiToken.objects.get().last_used_at is None
        page = client.get("/account/tokens/").content.decode()
        assert "Not used yet" not in page
        assert "Used only in the first ten minutes after the log-in, or not at all." in page

    def test_another_process_is_notified_of_the_end(self, buyer: User) -> None:
        api, cache = api_of(buyer), TokenCache()
        token = ApiToken.objects.get()
        assert eventually(lambda: cache.principal_of(token.key_hash) and cache._principals)
        assert api.delete(f"/api-auth/tokens/{token.number}/").status_code == 204
        assert eventually(lambda: cache.principal_of(token.key_hash) is None)
        cache.close()

    def test_the_use_of_a_token_is_recorded_every_ten_minutes_without_a_notification(
        self, buyer: User, django_assert_num_queries: Any
    ) -> None:
        api_of(buyer)
        token, cache = ApiToken.objects.get(), TokenCache()
        old = timezone.now() - timedelta(hours=1)
        ApiToken.objects.update(created_at=old)
        assert cache.principal_of(token.key_hash)
        token.refresh_from_db()
        assert token.last_used_at is not None
        assert token.last_used_at > old
        assert eventually(lambda: cache.principal_of(token.key_hash) and cache._principals)
        before = cache._notifications
        ApiToken.objects.update(last_used_at=old)
        with django_assert_num_queries(0):
            assert cache.principal_of(token.key_hash)
        assert cache._notifications == before
        cache.close()

    def test_a_request_goes_on_when_the_use_of_its_token_cannot_be_recorded(
        self, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = api_of(buyer)
        ApiToken.objects.update(created_at=timezone.now() - timedelta(hours=1))
        monkeypatch.setattr(token_cache, "USED", "UPDATE nothing_of_the_kind SET a = %s WHERE b = %s")
        assert api.get("/api-auth/tokens/").status_code == 200
