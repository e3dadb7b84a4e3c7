"""The data in Redis: an older value never replaces a newer one, and no mark is lost."""

import pytest
from redis import Redis

from realtime import store
from realtime.store import Breaker, Frame, Mark


def frame(version: int, data: str | None = '{"left":1}') -> Frame:
    return Frame(stream="event.1", version=version, data=data, fingerprint=data or "")


def kept(valkey: Redis) -> Frame | None:
    return store.frame_of("event.1", valkey.hmget(store.frame_key("event.1"), store.FRAME_FIELDS))


def mark(valkey: Redis, *names: str) -> int:
    return store.run(
        store.MARK,
        keys=[store.MARKED, store.MARK_NUMBER, store.FLUSH_QUEUED],
        args=[900, 60, len(names), *names],
    )


def older_over_newer(valkey: Redis) -> Frame | None:
    store.frames_store([frame(8, "8")])
    store.frames_store([frame(7, "7")])
    return kept(valkey)


def test_an_older_frame_does_not_replace_a_newer_one(valkey: Redis) -> None:
    assert older_over_newer(valkey) == frame(8, "8")


def test_control_without_the_version_check_an_older_frame_replaces_it(
    valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        store, "STORE_FRAMES", store.STORE_FRAMES.replace("tonumber(kept[1]) >=", "false and 1 >=")
    )
    assert older_over_newer(valkey) == frame(7, "7")


def test_a_frame_is_the_same_only_once_it_was_sent(valkey: Redis) -> None:
    assert store.frames_store([frame(1)]) == ["new"]
    assert store.frames_store([frame(2)]) == ["new"], "it was not noted as sent"
    store.marks_finish([Mark(stream="event.1", number=0)], version=2)
    assert store.frames_store([frame(3)]) == ["same"]
    assert kept(valkey) == frame(3), "version 2, which a slower flush has read, must be too late"
    assert store.frames_store([frame(2)]) == ["older"]
    assert store.frames_store([frame(4, '{"left":0}')]) == ["new"]


def test_a_record_of_sending_an_older_frame_does_not_mark_the_newer_one_as_sent(valkey: Redis) -> None:
    store.frames_store([frame(1)])
    store.frames_store([frame(2, "other")])
    store.marks_finish([Mark(stream="event.1", number=0)], version=1)
    assert valkey.hget(store.frame_key("event.1"), "sent") == "0"


def test_stored_frames_expire(valkey: Redis) -> None:
    store.frames_store([frame(1)])
    assert 890 < valkey.ttl(store.frame_key("event.1")) <= store.KEPT_SECONDS
    store.frames_store([frame(2, None)])
    assert 50 < valkey.ttl(store.frame_key("event.1")) <= store.TOMBSTONE_SECONDS
    assert kept(valkey) == frame(2, None)


def test_marks_are_returned_in_their_order_and_a_flush_is_enqueued_once(valkey: Redis) -> None:
    assert [mark(valkey, "event.1"), mark(valkey, "event.2"), mark(valkey, "event.1")] == [1, 0, 0]
    assert 0 < valkey.ttl(store.FLUSH_QUEUED) <= 60
    assert store.marks_take(limit=9) == [Mark(stream="event.2", number=2), Mark(stream="event.1", number=3)]
    assert mark(valkey, "event.3") == 1, "the running flush may have read already"


def marked_meanwhile(valkey: Redis) -> list[Mark]:
    mark(valkey, "event.1", "event.2")
    taken = store.marks_take(limit=9)
    mark(valkey, "event.1")
    store.marks_finish(taken, version=1)
    return store.marks_take(limit=9)


def test_a_mark_that_is_made_meanwhile_stays(valkey: Redis) -> None:
    assert marked_meanwhile(valkey) == [Mark(stream="event.1", number=2)]


def test_control_without_comparing_the_marks_it_is_lost(
    valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FINISH", store.FINISH.replace("and tonumber(latest) == tonumber(mark)", ""))
    assert marked_meanwhile(valkey) == []


def test_marks_that_are_put_back_go_behind_the_others(valkey: Redis) -> None:
    mark(valkey, "event.1")
    mark(valkey, "event.2")
    store.marks_put_back(["event.1"])
    assert [taken.stream for taken in store.marks_take(limit=9)] == ["event.2", "event.1"]


def test_the_breaker_lets_one_caller_try_after_its_time() -> None:
    now = 100.0
    breaker = Breaker(seconds=1.0, clock=lambda: now)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    now = 101.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.succeeded()
    assert [breaker.allows(), breaker.allows()] == [True, True]
