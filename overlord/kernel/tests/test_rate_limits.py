"""Limits are exact under parallel requests, in Redis and without it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import time_machine
from django.test import RequestFactory

from overlord.kernel import client_address, rate_limits, redis_client
from overlord.kernel.errors import TooMany
from overlord.kernel.rate_limits import Limit
from tests.threads import together

LIMIT = Limit(name="test", amount=5, seconds=60)

pytestmark = pytest.mark.usefixtures("limits_on")


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # nothing listens there
    redis_client.connection.cache_clear()
    rate_limits._in_redis.cache_clear()
    yield
    redis_client.connection.cache_clear()
    rate_limits._in_redis.cache_clear()


def passes(limit: Limit = LIMIT, by: object = "ada") -> bool:
    try:
        rate_limits.count(limit, by)
    except TooMany:
        return False
    return True


def fifty_at_once() -> int:
    return sum(together(*[passes] * 50))


class GuessError(Exception):
    """A failure that counts."""


def fail() -> None:
    raise GuessError


def guess(answer: Callable[[], None] = fail) -> bool:
    """Run `answer` in a block that counts failures; return False if the limit refuses the block."""
    try:
        with suppress(GuessError), rate_limits.counted_if(GuessError, [(LIMIT, "ada")]):
            answer()
    except TooMany:
        return False
    return True


def succeed() -> None:
    pass


@pytest.mark.parametrize("where", ["in Redis", "in the process"])
def test_only_failures_count(where: str, request: pytest.FixtureRequest) -> None:
    if where == "in the process":
        request.getfixturevalue("redis_away")
    assert all(guess(succeed) for _ in range(20))
    assert [guess() for _ in range(6)] == [True] * 5 + [False]
    assert not guess(succeed), "nobody learns whether this one would have been right"


def test_another_error_or_a_second_limit_that_refuses_counts_nothing() -> None:
    with pytest.raises(ZeroDivisionError), rate_limits.counted_if(GuessError, [(LIMIT, "ada")]):
        raise ZeroDivisionError
    one = Limit(name="one", amount=1, seconds=60)
    assert passes(one, "school")
    for _ in range(20):
        with pytest.raises(TooMany), rate_limits.counted_if(GuessError, [(LIMIT, "ada"), (one, "school")]):
            pytest.fail("the block runs")
    assert [guess() for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.django_db(transaction=True)
def test_of_fifty_guesses_at_once_no_more_than_the_limit_are_answered() -> None:
    inside = threading.Barrier(LIMIT.amount)

    def wrong() -> None:
        with rate_limits.counted_if(GuessError, [(LIMIT, "ada")]):
            inside.wait(timeout=60)  # for the others, so that none has failed before all are inside
            fail()

    kinds = [type(each) for each in together(*[wrong] * 50)]
    assert (kinds.count(GuessError), kinds.count(TooMany)) == (LIMIT.amount, 50 - LIMIT.amount)


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_get_no_more_than_the_limit() -> None:
    assert fifty_at_once() == LIMIT.amount
    assert redis_client.connection().keys(f"{rate_limits.PREFIX}:*")


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_get_no_more_while_redis_is_away(redis_away: None) -> None:
    assert fifty_at_once() == LIMIT.amount


def test_counts_without_redis_end_when_it_is_back(redis_away: None) -> None:
    assert [passes() for _ in range(6)] == [True] * 5 + [False]
    with time_machine.travel(time.time() + LIMIT.seconds + 1, tick=False):
        assert passes()


def test_redis_is_asked_again_a_second_later(redis_away: None) -> None:
    tried: list[int] = []
    really = rate_limits._in_redis
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "_in_redis", lambda: tried.append(1) or really())
        patch.setattr(rate_limits, "RETRY_SECONDS", 1000.0)  # more than passes between two calls
        passes()
        passes()
        assert len(tried) == 1
        rate_limits._redis.away_until -= rate_limits.RETRY_SECONDS
        passes()
        assert len(tried) == 2


def test_a_use_is_allowed_again_when_the_oldest_one_is_old_enough() -> None:
    start = float(int(time.time()))
    with time_machine.travel(start, tick=False):
        assert passes()
    with time_machine.travel(start + 40, tick=False):
        assert [passes() for _ in range(6)] == [True] * 4 + [False] * 2
        with pytest.raises(TooMany) as refused:
            rate_limits.count(LIMIT, "ada")
        assert refused.value.facts == {"retry_after": 20}
    with time_machine.travel(start + 61, tick=False):
        assert [passes() for _ in range(2)] == [True, False]


def test_each_user_and_limit_is_counted_separately() -> None:
    other = Limit(name="other", amount=1, seconds=60)
    while passes():
        pass
    assert passes(by="bob")
    assert passes(other)


def test_a_counter_contains_no_name() -> None:
    passes(by="ada@example.org")
    [key] = redis_client.connection().keys(f"{rate_limits.PREFIX}:*")
    assert "ada" not in key


def test_with_limits_off_nothing_is_counted(settings: Any) -> None:
    settings.RATE_LIMITS = False
    assert all(passes() for _ in range(20))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted"),
    [
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (2, "10.9.9.9, 203.0.113.7, 198.51.100.1", "203.0.113.7"),
        (2, "203.0.113.7", "203.0.113.7"),
        (0, "203.0.113.7", "127.0.0.1"),
        (1, None, "127.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
        (1, "nonsense", ""),
    ],
)
def test_the_address_is_the_one_that_our_outermost_proxy_saw(
    proxies: int, forwarded: str | None, counted: str, settings: Any, rf: RequestFactory
) -> None:
    settings.PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    assert client_address.of_request(rf.get("/", headers=headers)) == counted
