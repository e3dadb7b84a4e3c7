"""The flush: even if flushes overlap, fail or repeat, the newest frame shows the latest committed state."""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from redis import Redis

from overlord.kernel.db import rows, transaction
from realtime import publish, store, streams
from realtime.gateway.hub import Hub
from realtime.rate_limits import Throttle
from realtime.store import Frame
from realtime.streams import Access
from realtime.tests.helpers import Screen, Shown, flushes, frame_keep, frame_make, until, with_hub
from realtime.worker import flush
from realtime.worker.tasks import flush as flush_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """Collect the frames that are sent to the channel layer, and send them."""
    frames: list[Frame] = []
    really = flush.send

    def send(batch: Sequence[Frame]) -> set[str]:
        frames.extend(batch)
        return really(batch)

    monkeypatch.setattr(flush, "send", send)
    return frames


def kept(valkey: Redis, stream: str = "event.1") -> str | None:
    frame = store.frame_of(stream, valkey.hmget(store.frame_key(stream), store.FRAME_FIELDS))
    return frame.data if frame else None


def marked() -> list[str]:
    return [mark.stream for mark in store.marks_take(limit=999)]


def test_marked_streams_are_read_in_one_call_kept_and_sent(
    shown: Shown, sent: list[Frame], valkey: Redis
) -> None:
    shown.states = {1: {"left": 3}, 2: {"left": 0}}
    publish.streams_mark(streams=["event.1", "event.2"])
    flush_task.run(unknown_argument_of_a_newer_version=True)
    assert shown.calls == [[1, 2]]
    assert {(frame.stream, frame.data) for frame in sent} == {
        ("event.1", '{"left":3}'),
        ("event.2", '{"left":0}'),
    }
    assert kept(valkey) == '{"left":3}'
    assert marked() == []


def test_nothing_marked_asks_the_database_nothing(django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(0):
        flush.flush()


def test_unchanged_state_is_not_sent_again(shown: Shown, sent: list[Frame]) -> None:
    for state in ["a", "a", "b", "b"]:
        shown.states = {1: state}
        publish.streams_mark(streams=["event.1"])
        flush.flush()
    assert [frame.data for frame in sent] == ['"a"', '"b"']
    assert marked() == []


def test_a_stream_that_does_not_exist_becomes_a_tombstone(
    shown: Shown, sent: list[Frame], valkey: Redis
) -> None:
    publish.streams_mark(streams=["event.404"])
    flush.flush()
    assert [(frame.stream, frame.data) for frame in sent] == [("event.404", None)]
    assert 0 < valkey.ttl(store.frame_key("event.404")) <= 60
    shown.states = {404: "made meanwhile"}
    publish.streams_mark(streams=["event.404"])
    flush.flush()
    assert kept(valkey, "event.404") == '"made meanwhile"'
    assert valkey.ttl(store.frame_key("event.404")) > 60


def test_a_kind_without_ids_is_read_without_ids(
    monkeypatch: pytest.MonkeyPatch, shown: Shown, sent: list[Frame]
) -> None:
    asked: list[Collection[int]] = []

    def project(ids: Collection[int], *, now: datetime) -> dict[int, Any]:
        asked.append(ids)
        return {streams.ALONE: [1, 2]}

    monkeypatch.setitem(
        streams._definitions, "events", streams.Definition(access=Access.PUBLIC, project=project)
    )
    shown.states = {1: "one"}
    publish.streams_mark(streams=["events", "event.1"])
    flush.flush()
    assert {(frame.stream, frame.data) for frame in sent} == {("events", "[1,2]"), ("event.1", '"one"')}
    assert asked == [()]


def test_one_kind_that_cannot_be_read_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, shown: Shown, sent: list[Frame]
) -> None:
    def project(ids: Collection[int], *, now: datetime) -> dict[int, Any]:
        rows("SELECT 1 / 0")
        return {}

    monkeypatch.setitem(
        streams._definitions, "stats", streams.Definition(access=Access.PUBLIC, project=project)
    )
    shown.states = {1: "one"}
    publish.streams_mark(streams=["stats", "event.1"])
    flush.flush()
    assert [frame.stream for frame in sent] == ["event.1"]
    assert marked() == ["stats"]


def test_a_mark_of_an_unknown_kind_does_not_stay(shown: Shown) -> None:
    publish.streams_mark(streams=["nonsense.1"])
    flush.flush()
    assert marked() == []


def test_marks_stay_when_the_database_does_not_answer(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> int:
        raise OperationalError("the server closed the connection")

    publish.streams_mark(streams=["event.1"])
    monkeypatch.setattr(flush, "draw_version", away)
    flush.flush()
    assert marked() == ["event.1"]


def test_a_frame_that_could_not_be_sent_is_sent_by_the_next_flush_though_unchanged(
    shown: Shown, sent: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            raise ConnectionError

    shown.states = {1: "a"}
    publish.streams_mark(streams=["event.1"])
    with monkeypatch.context() as away:
        away.setattr(publish, "get_channel_layer", Away)
        flush.flush()
    assert marked() == ["event.1"]
    flush.flush()
    assert [frame.data for frame in sent] == ['"a"', '"a"']
    assert marked() == []


def test_marks_beyond_one_flush_are_left_to_the_next(
    shown: Shown, sent: list[Frame], monkeypatch: pytest.MonkeyPatch, valkey: Redis
) -> None:
    monkeypatch.setattr(flush, "LIMIT", 2)
    publish.streams_mark(streams=["event.1", "event.2", "event.3"])
    flush.flush()
    assert valkey.llen("live") == 2, "the one for the marks and the one for what remains"
    flush.flush()
    assert {frame.stream for frame in sent} == {"event.1", "event.2", "event.3"}


# Side by side -------------------------------------------------------------------------------------------
def _in_thread(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _waits_for_the_lock() -> bool:
    waiting = rows("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return bool(waiting[0]["n"])


def overtaken(shown: Shown, valkey: Redis) -> str | None:
    """Let a second flush run between the first one's reading and sending; return the state that is stored then.

    The second runs to its end unless it has to wait for the first.
    """
    shown.states = {1: "old"}
    first_has_read, go_on = threading.Event(), threading.Event()

    def pause_the_first() -> None:
        if not first_has_read.is_set():
            first_has_read.set()
            go_on.wait(60)

    shown.while_reading = pause_the_first
    publish.streams_mark(streams=["event.1"])
    first = _in_thread(flush.flush)
    assert first_has_read.wait(60)
    shown.states = {1: "new"}
    publish.streams_mark(streams=["event.1"])
    second = _in_thread(flush.flush)
    while second.is_alive() and not _waits_for_the_lock():
        second.join(0.01)
    go_on.set()
    first.join(60)
    second.join(60)
    flush.flush()  # as beat does each second
    return kept(valkey)


def test_flushes_side_by_side_end_with_the_new_state(shown: Shown, valkey: Redis) -> None:
    assert overtaken(shown, valkey) == '"new"'


def test_without_the_lock_the_order_of_version_and_reading_is_enough(
    shown: Shown, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlocked(names: Sequence[str]) -> tuple[int, list[Frame]]:
        with transaction():
            version = flush.draw_version()
            return version, flush.read_state(names, version=version)

    monkeypatch.setattr(flush, "versioned_state", unlocked)
    assert overtaken(shown, valkey) == '"new"'


def test_control_reading_before_drawing_the_version_ends_with_the_old_state(
    shown: Shown, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_first(names: Sequence[str]) -> tuple[int, list[Frame]]:
        with transaction():
            frames = flush.read_state(names, version=0)
            version = flush.draw_version()
            return version, [replace(frame, version=version) for frame in frames]

    monkeypatch.setattr(flush, "versioned_state", read_first)
    assert overtaken(shown, valkey) == '"old"'


def test_a_change_while_a_flush_reads_keeps_its_mark(shown: Shown, valkey: Redis) -> None:
    shown.states = {1: "old"}

    def change() -> None:
        shown.while_reading = lambda: None
        shown.states = {1: "new"}
        publish.streams_mark(streams=["event.1"])

    shown.while_reading = change
    publish.streams_mark(streams=["event.1"])
    flush.flush()
    assert kept(valkey) == '"old"'
    flush.flush()
    assert kept(valkey) == '"new"'
    assert marked() == []


def test_the_connection_is_left_outside_a_transaction(shown: Shown) -> None:
    publish.streams_mark(streams=["event.1"])
    flush.flush()
    assert not connection.in_atomic_block


# Marks that are left out -------------------------------------------------------------------------------
@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Return the projection of the streams of kind "me", which are for their owner. Healing never marks them."""
    projection = Shown()
    definition = streams.Definition(access=Access.OWNER, project=projection.project, refresh=1000.0)
    monkeypatch.setitem(streams._definitions, "me", definition)
    return projection


def test_a_private_stream_without_subscribers_is_forgotten_and_not_read(
    private: Shown, sent: list[Frame], valkey: Redis
) -> None:
    frame_keep(0, '"before the change"', "me.7")
    publish.streams_mark(streams=["me.7"])
    flush.flush()
    assert (private.calls, sent, kept(valkey, "me.7"), marked()) == ([], [], None, [])


def test_a_private_stream_with_a_subscriber_is_read(private: Shown, valkey: Redis) -> None:
    async def test(hub: Hub) -> None:
        private.states = {7: "first"}
        screen = Screen("me.7")
        await hub.attach(screen.subscriber)
        assert await until(lambda: screen.shows("first"))
        private.states = {7: "second"}
        await asyncio.to_thread(publish.streams_mark, streams=["me.7"])
        assert await until(lambda: screen.shows("second"))

    with flushes():
        with_hub(test)


def test_a_subscriber_that_comes_after_it_was_forgotten_sees_the_change(private: Shown) -> None:
    async def test(hub: Hub) -> None:
        screen = Screen("me.7")
        await hub.attach(screen.subscriber)
        assert await until(lambda: screen.shows("after the change"))

    frame_keep(0, '"before the change"', "me.7")
    private.states = {7: "after the change"}
    publish.streams_mark(streams=["me.7"])
    flush.flush()
    with flushes():
        with_hub(test)


def test_a_slower_flush_cannot_bring_back_a_forgotten_stream(private: Shown, valkey: Redis) -> None:
    slower = flush.draw_version()  # this flush has read the state before the change
    publish.streams_mark(streams=["me.7"])
    flush.flush()
    assert store.frames_store([frame_make(slower, '"before the change"', "me.7")]) == ["older"]
    assert kept(valkey, "me.7") is None


def test_a_change_between_the_look_and_the_forgetting_keeps_its_mark(private: Shown) -> None:
    publish.streams_mark(streams=["me.7"])
    taken = store.marks_take(limit=9)
    publish.streams_mark(streams=["me.7"])
    assert store.unwatched_forget(taken, version=flush.draw_version()) == {"me.7"}
    assert marked() == ["me.7"]


def test_a_burst_of_tasks_is_one_flush(monkeypatch: pytest.MonkeyPatch, shown: Shown) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        publish.streams_mark(streams=[f"event.{len(waits)}"])  # while a flush waits for its turn

    monkeypatch.setattr(flush.time, "sleep", wait)  # type: ignore[attr-defined]
    monkeypatch.setattr(flush, "_throttle", Throttle(interval=1000.0))
    flush_task.run()
    flush_task.run()
    assert waits[0] == 0.0
    assert 990 < waits[1] <= 1000
    assert shown.calls == [[1], [2]]
