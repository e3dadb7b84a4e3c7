"""The token cache: it keeps a principal, and drops it after any change in any process."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from django.db import connection
from rest_framework.authtoken.models import Token

from conftest import api_of
from overlord.accounts import token_cache
from overlord.accounts.models import User
from overlord.accounts.token_cache import Principal, TokenCache
from overlord.kernel import db
from tests.system import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cache() -> Iterator[TokenCache]:
    """The cache of another process."""
    cache = TokenCache()
    yield cache
    cache.close()


@pytest.fixture
def key(buyer: User) -> str:
    return str(Token.objects.create(user=buyer).key)


def test_a_token_is_read_once(
    cache: TokenCache, key: str, buyer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(1):
        first = cache.principal_of(key)
    with django_assert_num_queries(0):
        again = cache.principal_of(key)
    assert first == again == Principal(pk=buyer.pk, is_staff=False)


@pytest.mark.parametrize("key", ["0" * 40, "", "x" * 5000, "schlüssel"])
def test_an_unknown_token_has_no_principal(cache: TokenCache, key: str) -> None:
    assert cache.principal_of(key) is None


def is_dropped(cache: TokenCache, key: str) -> bool:
    return eventually(lambda: cache.principal_of(key) is None)


CHANGES: dict[str, Callable[[User], Any]] = {
    "log-out": lambda user: api_of(user).post("/api-auth/logout/"),
    "a token deleted by hand": lambda user: db.rows(
        "DELETE FROM authtoken_token WHERE user_id = %s", [user.pk]
    ),
    "deactivation": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "the account deleted": lambda user: user.delete(),
}


@pytest.mark.parametrize("how", CHANGES)
def test_another_process_drops_the_token_at(how: str, cache: TokenCache, key: str, buyer: User) -> None:
    assert cache.principal_of(key) is not None
    CHANGES[how](buyer)
    assert is_dropped(cache, key)


def test_a_new_permission_and_a_new_password_are_seen(cache: TokenCache, key: str, buyer: User) -> None:
    cache.principal_of(key)
    notifications = cache._notifications
    buyer.set_password("another battery")
    buyer.save()
    assert eventually(
        lambda: cache.principal_of(key) is not None and cache._notifications == notifications + 1
    )
    User.objects.update(is_staff=True)
    assert eventually(lambda: (found := cache.principal_of(key)) is not None and found.is_staff)


def test_a_log_in_drops_nothing(cache: TokenCache, key: str, buyer: User) -> None:
    cache.principal_of(key)
    notifications = cache._notifications
    body = {"username": buyer.username, "password": "correct horse"}
    assert api_of(buyer).post("/api-auth/login/", body, format="json").status_code == 200
    db.rows("SELECT pg_notify('principals', '0')")
    assert eventually(lambda: cache.principal_of(key) and cache._notifications > notifications)
    assert cache._notifications == notifications + 1, "only the notification of this test has come"


def test_control_without_the_trigger_the_token_stays(cache: TokenCache, key: str) -> None:
    cache.principal_of(key)
    db.rows("ALTER TABLE authtoken_token DISABLE TRIGGER principal_token_ended")
    try:
        Token.objects.all().delete()
        db.rows("SELECT pg_notify('principals', '0')")
        notifications = cache._notifications
        assert eventually(lambda: cache.principal_of(key) and cache._notifications > notifications)
        assert cache.principal_of(key) is not None
    finally:
        db.rows("ALTER TABLE authtoken_token ENABLE TRIGGER principal_token_ended")


def test_a_notification_without_a_user_id_drops_all(cache: TokenCache, key: str) -> None:
    cache.principal_of(key)
    db.rows("SELECT pg_notify('principals', 'everybody')")
    assert eventually(lambda: cache._receive() and not cache._principals)


def test_a_notification_during_the_read_is_applied(
    cache: TokenCache, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.principal_of("nobody")  # starts to listen
    really = token_cache._read

    def read(asked: str) -> Principal | None:
        found = really(asked)
        Token.objects.filter(key=asked).delete()
        assert eventually(lambda: cache._receive() and cache._notifications)
        return found

    monkeypatch.setattr(token_cache, "_read", read)
    assert cache.principal_of(key) is not None
    monkeypatch.setattr(token_cache, "_read", really)
    assert cache.principal_of(key) is None, "what was read before the notification must not be kept"


def test_without_a_listen_connection_nothing_is_kept(cache: TokenCache, key: str) -> None:
    cache.principal_of(key)
    [row] = db.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'principals'")
    db.rows("SELECT pg_terminate_backend(%s)", [row["pid"]])
    assert eventually(lambda: cache.principal_of(key) is not None and cache._connection is None)
    assert not cache._principals
    cache._retry_at = 0.0
    cache.principal_of(key)
    assert cache._principals


def test_a_cache_that_never_could_listen_still_answers(
    cache: TokenCache, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_params: Any) -> None:
        raise psycopg2.OperationalError("too many clients")

    monkeypatch.setattr(token_cache.psycopg2, "connect", refuse)
    assert cache.principal_of(key) is not None
    assert not cache._principals


def test_what_may_be_rolled_back_is_not_kept(cache: TokenCache, key: str) -> None:
    with db.transaction():
        assert connection.in_atomic_block
        assert cache.principal_of(key) is not None
    assert not cache._principals


def test_the_cache_is_bounded(
    cache: TokenCache, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "CAPACITY", 2)
    keys = [Token.objects.create(user=user_make()).key for _ in range(4)]
    for each in keys:
        cache.principal_of(each)
    assert list(cache._principals) == keys[2:]
    assert len(cache._tokens) == 2
