"""Publishing: in one round trip, never raising, never delaying a sale."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from pytest_django import Settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from overlord.kernel import queues, redis_client
from realtime import publish, store
from realtime.publish import VersionedValue
from realtime.store import Breaker


def versioned(version: int, value: object, field: str = "7") -> VersionedValue:
    return VersionedValue(key="event:1", field=field, version=version, value=value)


def test_a_mark_keeps_the_values_and_enqueues_one_flush(valkey: Redis) -> None:
    publish.streams_mark(streams=["event.1", "me.7"], values=[versioned(3, {"left": 2})])
    publish.streams_mark(streams=["event.1"])
    assert [mark.stream for mark in store.marks_take(limit=9)] == ["me.7", "event.1"]
    assert publish.values_read(key="event:1") == {"7": {"left": 2}}
    assert valkey.llen("live") == 1


def test_a_flush_is_enqueued_again_once_the_former_has_begun(valkey: Redis) -> None:
    publish.streams_mark(streams=["event.1"])
    store.marks_take(limit=9)
    publish.streams_mark(streams=["event.1"])
    assert valkey.llen("live") == 2


def test_a_change_that_is_not_urgent_enqueues_no_flush_and_goes_with_the_next(valkey: Redis) -> None:
    publish.streams_mark(streams=["me.7"], is_urgent=False)
    assert valkey.llen("live") == 0
    publish.streams_mark(streams=["event.1"])
    assert valkey.llen("live") == 1
    assert [mark.stream for mark in store.marks_take(limit=9)] == ["me.7", "event.1"]


def test_a_mark_is_one_round_trip(valkey: Redis) -> None:
    # The first mark loads the script into Redis and enqueues a flush.
    publish.streams_mark(streams=["event.1"])
    before = valkey.info("commandstats")["cmdstat_evalsha"]["calls"]
    total = valkey.info("stats")["total_commands_processed"]
    publish.streams_mark(streams=["event.1"], values=[versioned(3, 1)])
    assert valkey.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    inside = 6  # HGET, HSET, EXPIRE, INCR, ZADD, SET of the script itself
    assert valkey.info("stats")["total_commands_processed"] - total <= 1 + inside + 3


def older_over_newer() -> object:
    publish.values_keep(values=[versioned(10, "new")])
    publish.streams_mark(streams=[], values=[versioned(9, "old")])
    return publish.values_read(key="event:1")


def test_an_older_entry_does_not_replace_a_newer_one() -> None:
    assert older_over_newer() == {"7": "new"}


def test_control_without_the_version_check_an_older_entry_replaces_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "MARK", store.MARK.replace("> tonumber(version)", "> math.huge"))
    assert older_over_newer() == {"7": "old"}


def test_the_same_version_is_written_again_and_times_are_text(valkey: Redis) -> None:
    publish.values_keep(values=[versioned(1, "a"), versioned(5, [1], field="static")])
    publish.values_keep(values=[versioned(1, {"seen": datetime(2026, 1, 2, tzinfo=UTC)})])
    assert publish.values_read(key="event:1") == {"7": {"seen": "2026-01-02T00:00:00Z"}, "static": [1]}
    assert 890 < valkey.ttl(store.value_key("event:1")) <= 900
    assert valkey.zcard(store.MARKED) == 0


def test_an_empty_redis_is_told_apart_from_one_that_does_not_answer() -> None:
    assert publish.values_read(key="event:404") == {}


@pytest.fixture
def stalled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Let Redis accept connections and never answer, which is worse than no Redis.

    Return a function that returns how often it was asked since the last call. No time passes for the breaker.
    """
    monkeypatch.setattr(redis_client, "SECONDS", 0.05)
    monkeypatch.setattr(store, "breaker", Breaker(seconds=1.0, clock=lambda: 0.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)

        def asked() -> int:
            count = 0
            with suppress(BlockingIOError):
                while True:
                    silent.accept()[0].close()
                    count += 1
            return count

        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        redis_client.connection.cache_clear()
        yield asked
    settings.REDIS_URL = settings.REDIS_BROKER_URL
    redis_client.connection().close()
    redis_client.connection.cache_clear()


def test_only_one_call_waits_for_a_redis_that_does_not_answer(stalled: Callable[[], int]) -> None:
    publish.streams_mark(streams=["event.1"], values=[versioned(1, 1)])
    assert stalled() == 1
    for _ in range(100):
        publish.streams_mark(streams=["event.1"])
        publish.values_keep(values=[versioned(1, 1)])
        assert publish.values_read(key="event:1") is None
    assert stalled() == 0


def test_control_without_the_breaker_each_call_waits(
    stalled: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.breaker, "allows", lambda: True)
    for _ in range(3):
        publish.streams_mark(streams=["event.1"])
    assert stalled() == 3


def test_a_call_waits_briefly_for_a_connection_and_for_an_answer() -> None:
    options = redis_client.connection().connection_pool.connection_kwargs
    assert {options[name] for name in ("socket_connect_timeout", "socket_timeout")} == {redis_client.SECONDS}


def test_a_broker_that_dies_before_the_flush_is_enqueued_keeps_neither_mark_nor_value_from_redis(
    monkeypatch: pytest.MonkeyPatch, valkey: Redis
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    dead = Redis(port=port, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(queues, "redis_client", SimpleNamespace(broker=lambda: dead))
    publish.streams_mark(streams=["event.1"])
    assert valkey.zcard(store.MARKED) == 1, "beat's next flush finds it"
    publish.values_keep(values=[versioned(1, "kept")])  # in another Redis than the broker's
    assert publish.values_read(key="event:1") == {"7": "kept"}
