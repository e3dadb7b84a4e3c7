"""The token cache: it keeps a principal, and drops it after any change in any process."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection
from django.test import Client

from overlord.accounts import services, token_cache
from overlord.accounts.models import ApiToken, User
from overlord.accounts.token_cache import Principal, TokenCache
from overlord.kernel import db, listening
from tests.clients import token_of
from tests.system import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cache() -> Iterator[TokenCache]:
    """Return a cache like that of another process. The one of this process does not listen."""
    token_cache.close()
    cache = TokenCache()
    yield cache
    cache.close()


@pytest.fixture
def key(buyer: User) -> str:
    return token_of(buyer)


@pytest.fixture
def token(key: str) -> str:
    return ApiToken.hash_of(key)


def test_a_token_is_read_once(
    cache: TokenCache, token: str, buyer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(1):
        first = cache.principal_of(token)
    with django_assert_num_queries(0):
        again = cache.principal_of(token)
    assert first == again == Principal(pk=buyer.pk, is_staff=False, is_guest=False, second_factor=False)


@pytest.mark.parametrize("token", ["0" * 64, "", "x" * 5000, "schlüssel"])
def test_an_unknown_token_has_no_principal(cache: TokenCache, token: str) -> None:
    assert cache.principal_of(token) is None


def is_dropped(cache: TokenCache, token: str) -> bool:
    return eventually(lambda: cache.principal_of(token) is None)


def by_hand(statement: str) -> Callable[[User, str], Any]:
    return lambda user, key: db.rows(statement, [user.pk])


def log_out(user: User, key: str) -> None:
    assert Client().post("/api-auth/logout/", headers={"Authorization": f"Token {key}"}).status_code == 204


CHANGES: dict[str, Callable[[User, str], Any]] = {
    "log-out": log_out,
    "a token deleted by hand": by_hand("DELETE FROM accounts_apitoken WHERE user_id = %s"),
    "a token ended by hand": by_hand("UPDATE accounts_apitoken SET expires_at = now() WHERE user_id = %s"),
    "a new password by hand": by_hand("UPDATE accounts_user SET password = 'x' WHERE id = %s"),
    "all log-ins ended": lambda user, key: services.logins_end(user_id=user.pk),
    "deactivation": lambda user, key: User.objects.filter(pk=user.pk).update(is_active=False),
    "the account deleted": lambda user, key: user.delete(),
}


@pytest.mark.parametrize("how", CHANGES)
def test_another_process_drops_the_token_at(
    how: str, cache: TokenCache, key: str, token: str, buyer: User
) -> None:
    assert cache.principal_of(token) is not None
    CHANGES[how](buyer, key)
    assert is_dropped(cache, token)


def test_a_new_permission_is_seen(cache: TokenCache, token: str, buyer: User) -> None:
    cache.principal_of(token)
    User.objects.update(is_staff=True)
    assert eventually(lambda: (found := cache.principal_of(token)) is not None and found.is_staff)


def test_a_log_in_drops_nothing(cache: TokenCache, token: str, buyer: User) -> None:
    cache.principal_of(token)
    notifications = cache._notifications
    body = {"username": buyer.username, "password": "correct horse"}
    assert Client().post("/api-auth/login/", body).status_code == 200
    db.rows("SELECT pg_notify('principals', '0')")
    assert eventually(lambda: cache.principal_of(token) and cache._notifications > notifications)
    assert cache._notifications == notifications + 1, "no other notification has arrived"


def test_control_without_the_trigger_the_token_stays(cache: TokenCache, token: str) -> None:
    cache.principal_of(token)
    db.rows("ALTER TABLE accounts_apitoken DISABLE TRIGGER principal_token_ended")
    try:
        ApiToken.objects.all().delete()
        db.rows("SELECT pg_notify('principals', '0')")
        notifications = cache._notifications
        assert eventually(lambda: cache.principal_of(token) and cache._notifications > notifications)
        assert cache.principal_of(token) is not None
    finally:
        db.rows("ALTER TABLE accounts_apitoken ENABLE TRIGGER principal_token_ended")


def test_a_notification_without_a_user_id_drops_all(cache: TokenCache, token: str) -> None:
    cache.principal_of(token)
    db.rows("SELECT pg_notify('principals', 'everybody')")
    assert eventually(lambda: cache._receive() and not cache._principals)


def test_a_notification_during_the_read_is_applied(
    cache: TokenCache, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.principal_of("nobody")  # starts to listen
    really = token_cache._read

    def read(asked: str) -> tuple[Principal, float, bool] | None:
        found, before = really(asked), cache._notifications
        ApiToken.objects.filter(pk=asked).delete()
        assert eventually(lambda: cache._receive() and cache._notifications > before)
        return found

    monkeypatch.setattr(token_cache, "_read", read)
    assert cache.principal_of(token) is not None
    monkeypatch.setattr(token_cache, "_read", really)
    assert cache.principal_of(token) is None, "rows that were read before the notification must not be kept"


def test_without_a_listen_connection_nothing_is_kept(cache: TokenCache, token: str) -> None:
    cache.principal_of(token)
    assert cache._connection is not None
    db.rows("SELECT pg_terminate_backend(%s)", [cache._connection.info.backend_pid])
    assert eventually(lambda: cache.principal_of(token) is not None and cache._connection is None)
    assert not cache._principals
    cache._listen_at = 0.0
    cache.principal_of(token)
    assert cache._principals


def test_the_cache_listens_anew_each_minute_and_reads_each_token_again(
    cache: TokenCache, token: str, django_assert_num_queries: Callable[[int], Any]
) -> None:
    cache.principal_of(token)
    before = cache._connection
    cache._listen_at = 0.0
    with django_assert_num_queries(1):
        cache.principal_of(token)
    assert before is not None
    assert before.closed
    assert cache._connection is not None
    assert list(cache._principals) == [token]


def test_a_notification_that_the_former_connection_lost_is_made_up_for(cache: TokenCache, token: str) -> None:
    cache.principal_of(token)
    assert cache._connection is not None
    with cache._connection.cursor() as cursor:
        # Nothing arrives, without an error, as on a connection that the network has dropped.
        cursor.execute("UNLISTEN *")
    ApiToken.objects.all().delete()
    assert cache.principal_of(token) is not None, "the control: the notification is lost"
    cache._listen_at = 0.0
    assert cache.principal_of(token) is None


def test_notifications_on_the_former_connection_are_processed(
    cache: TokenCache, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.principal_of(token)
    really = listening.listen

    def listen(*channels: str, name: str) -> Any:
        ApiToken.objects.all().delete()  # the notification is sent before the new connection listens
        return really(*channels, name=name)

    monkeypatch.setattr(token_cache.listening, "listen", listen)
    cache._listen_at = 0.0
    assert eventually(lambda: cache.principal_of(token) is None)


def test_when_no_notification_arrives_any_more_nothing_is_kept(
    cache: TokenCache, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(*_args: Any) -> None:
        raise listening.NotHeardError

    cache.principal_of(token)
    monkeypatch.setattr(listening, "_await", unheard)
    cache._listen_at = 0.0
    assert cache.principal_of(token) is not None
    assert not cache._principals
    assert cache._connection is None


def test_a_cache_that_never_could_listen_still_answers(
    cache: TokenCache, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_params: Any) -> None:
        raise psycopg2.OperationalError("too many clients")

    monkeypatch.setattr(token_cache.psycopg2, "connect", refuse)
    assert cache.principal_of(token) is not None
    assert not cache._principals


def test_no_request_waits_for_the_thread_that_connects(
    cache: TokenCache, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting, connect = threading.Event(), threading.Event()
    really = listening.listen

    def listen(*channels: str, name: str) -> Any:
        connecting.set()
        assert connect.wait(timeout=30)
        return really(*channels, name=name)

    monkeypatch.setattr(token_cache.listening, "listen", listen)
    thread = threading.Thread(target=cache._listen)
    thread.start()
    try:
        assert connecting.wait(timeout=30)
        assert cache.principal_of(token) is not None
        assert not cache._principals, "rows that are read before the cache listens must not be kept"
    finally:
        connect.set()
        thread.join(timeout=30)
    cache.principal_of(token)
    assert cache._principals


def test_a_token_that_may_be_rolled_back_is_not_kept(cache: TokenCache, token: str) -> None:
    with db.transaction():
        assert connection.in_atomic_block
        assert cache.principal_of(token) is not None
    assert not cache._principals


def test_a_kept_token_ends_at_its_time(cache: TokenCache, token: str) -> None:
    assert cache.principal_of(token) is not None
    with pytest.MonkeyPatch.context() as later:
        until_the_end = time.monotonic() + timedelta(days=1).total_seconds()
        later.setattr(token_cache.time, "monotonic", lambda: until_the_end)
        later.setattr(token_cache, "_read", lambda token: None)
        assert cache.principal_of(token) is None
    assert cache.principal_of(token) is not None


def test_the_cache_is_bounded(
    cache: TokenCache, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "CAPACITY", 2)
    keys = [ApiToken.hash_of(token_of(user_make())) for _ in range(4)]
    for each in keys:
        cache.principal_of(each)
    assert list(cache._principals) == keys[2:]
    assert len(cache._tokens) == 2
