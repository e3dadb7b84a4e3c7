"""Who asks by a token: remembered, and dropped by whatever ends or changes it, in whichever process."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from django.db import connection
from rest_framework.authtoken.models import Token

from conftest import api_of
from overlord.accounts import principals
from overlord.accounts.models import User
from overlord.accounts.principals import Memory, Principal
from overlord.kernel import db
from tests.system import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory() -> Iterator[Memory]:
    """What another process remembers."""
    memory = Memory()
    yield memory
    memory.forget()


@pytest.fixture
def key(buyer: User) -> str:
    return str(Token.objects.create(user=buyer).key)


def test_it_is_read_once(
    memory: Memory, key: str, buyer: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(1):
        first = memory.of_token(key)
    with django_assert_num_queries(0):
        again = memory.of_token(key)
    assert first == again == Principal(pk=buyer.pk, is_staff=False)


@pytest.mark.parametrize("key", ["0" * 40, "", "x" * 5000, "schlüssel"])
def test_what_is_no_token_is_nobody(memory: Memory, key: str) -> None:
    assert memory.of_token(key) is None


def ended(memory: Memory, key: str) -> bool:
    return eventually(lambda: memory.of_token(key) is None)


CHANGES: dict[str, Callable[[User], Any]] = {
    "log-out": lambda user: api_of(user).post("/api-auth/logout/"),
    "a token deleted by hand": lambda user: db.rows(
        "DELETE FROM authtoken_token WHERE user_id = %s", [user.pk]
    ),
    "deactivation": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "the account deleted": lambda user: user.delete(),
}


@pytest.mark.parametrize("how", CHANGES)
def test_another_process_drops_it_at(how: str, memory: Memory, key: str, buyer: User) -> None:
    assert memory.of_token(key) is not None
    CHANGES[how](buyer)
    assert ended(memory, key)


def test_a_new_right_and_a_new_password_are_seen(memory: Memory, key: str, buyer: User) -> None:
    memory.of_token(key)
    notices = memory._notices
    buyer.set_password("another battery")
    buyer.save()
    assert eventually(lambda: memory.of_token(key) is not None and memory._notices == notices + 1)
    User.objects.update(is_staff=True)
    assert eventually(lambda: (found := memory.of_token(key)) is not None and found.is_staff)


def test_a_log_in_drops_nothing(memory: Memory, key: str, buyer: User) -> None:
    memory.of_token(key)
    notices = memory._notices
    body = {"username": buyer.username, "password": "correct horse"}
    assert api_of(buyer).post("/api-auth/login/", body, format="json").status_code == 200
    db.rows("SELECT pg_notify('principals', '0')")
    assert eventually(lambda: memory.of_token(key) and memory._notices > notices)
    assert memory._notices == notices + 1, "only ours was heard"


def test_control_without_the_triggers_it_is_never_dropped(memory: Memory, key: str) -> None:
    memory.of_token(key)
    db.rows("ALTER TABLE authtoken_token DISABLE TRIGGER principal_token_ended")
    try:
        Token.objects.all().delete()
        db.rows("SELECT pg_notify('principals', '0')")
        notices = memory._notices
        assert eventually(lambda: memory.of_token(key) and memory._notices > notices)
        assert memory.of_token(key) is not None
    finally:
        db.rows("ALTER TABLE authtoken_token ENABLE TRIGGER principal_token_ended")


def test_a_notice_that_names_nobody_drops_all(memory: Memory, key: str) -> None:
    memory.of_token(key)
    db.rows("SELECT pg_notify('principals', 'everybody')")
    assert eventually(lambda: memory._hear() and not memory._known)


def test_a_notice_that_comes_while_it_is_read_is_heeded(
    memory: Memory, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.of_token("nobody")  # it listens
    really = principals._read

    def read(asked: str) -> Principal | None:
        found = really(asked)
        Token.objects.filter(key=asked).delete()
        assert eventually(lambda: memory._hear() and memory._notices)
        return found

    monkeypatch.setattr(principals, "_read", read)
    assert memory.of_token(key) is not None
    monkeypatch.setattr(principals, "_read", really)
    assert memory.of_token(key) is None, "what was read before the notice was not remembered"


def test_who_cannot_listen_remembers_nothing_until_he_can(memory: Memory, key: str) -> None:
    memory.of_token(key)
    [row] = db.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'principals'")
    db.rows("SELECT pg_terminate_backend(%s)", [row["pid"]])
    assert eventually(lambda: memory.of_token(key) is not None and memory._ear is None)
    assert not memory._known
    memory._retry_at = 0.0
    memory.of_token(key)
    assert memory._known


def test_one_who_never_could_listen_answers_all_the_same(
    memory: Memory, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_params: Any) -> None:
        raise psycopg2.OperationalError("too many clients")

    monkeypatch.setattr(principals.psycopg2, "connect", refuse)
    assert memory.of_token(key) is not None
    assert not memory._known


def test_what_may_be_rolled_back_is_not_remembered(memory: Memory, key: str) -> None:
    with db.transaction():
        assert connection.in_atomic_block
        assert memory.of_token(key) is not None
    assert not memory._known


def test_it_does_not_grow_without_bound(
    memory: Memory, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "MOST", 2)
    keys = [Token.objects.create(user=user_make()).key for _ in range(4)]
    for each in keys:
        memory.of_token(each)
    assert list(memory._known) == keys[2:]
    assert len(memory._tokens) == 2
