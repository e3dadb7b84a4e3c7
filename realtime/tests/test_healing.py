"""Healing and heartbeats: lost changes are found, and screens are told when they may be old."""

from functools import partial
from typing import Any

import pytest
from redis import RedisError

from overlord.kernel import redis_client
from realtime import sockets, store, streams
from realtime.gateway.healing import DEAF_SECONDS
from realtime.gateway.hub import Hub
from realtime.streams import Access
from realtime.tests.helpers import PATIENCE, Screen, Shown, Untold, frame_keep, frame_make, until, with_hub

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make streams of kind "me"."""
    kind = streams.Definition(
        access=Access.OWNER, project=lambda ids, now: {}, refresh=streams.REFRESH_SECONDS[Access.OWNER]
    )
    monkeypatch.setitem(streams._definitions, "me", kind)


async def shows(hub: Hub, stream: str, data: Any) -> Screen:
    screen = Screen(stream)
    await hub.attach(screen.subscriber)
    assert await until(lambda: screen.shows(data))
    return screen


def marked() -> set[str]:
    return {mark.stream for mark in store.marks_take(limit=99)}


# Lost frames and marks ----------------------------------------------------------------------------------
async def lost_on_the_way(hub: Hub, *, seconds: float = PATIENCE) -> Screen:
    """Store a frame without sending it, then let three seconds pass. Wait for the frame."""
    frame_keep(1, "1")
    screen = await shows(hub, "event.1", 1)
    frame_keep(2, "2")
    await hub.healing.heal(now=hub._loop.time() + 3.1)
    await until(lambda: screen.shows(2), seconds=seconds)
    return screen


def test_the_number_of_sockets_is_kept_as_long_as_the_hub_lives() -> None:
    async def watched(hub: Hub) -> dict[str, Any]:
        frame_keep(1, "1")
        for _ in range(3):
            await shows(hub, "event.1", 1)
        await hub.healing.heal(now=hub._loop.time())
        redis = redis_client.connection()
        [key] = redis.keys(f"{sockets.SUBSCRIBERS}*")
        [room] = redis.keys(f"{sockets.ROOM}*")
        return {"count": redis.get(key), "seconds": redis.ttl(key), "room": redis.get(room)}

    said = with_hub(watched)
    assert (said["count"], said["room"]) == ("3", "1")
    assert 0 < said["seconds"] <= 5


def test_a_lost_frame_is_found() -> None:
    assert with_hub(lost_on_the_way).shows(2)


def test_control_without_reading_stored_frames_it_stays_lost() -> None:
    class Trusting(Hub):
        async def read_kept(self, names: list[str]) -> list[str]:
            return (
                []
                if any(self.subscriptions[name].frame for name in names)
                else await super().read_kept(names)
            )

    assert with_hub(partial(lost_on_the_way, seconds=0.5), Trusting).shows(1)


def test_streams_are_marked_regularly_and_public_ones_more_often(private: None) -> None:
    async def test(hub: Hub) -> list[set[str]]:
        frame_keep(1, "1")
        frame_keep(1, "1", "me.7")
        before, found = hub._loop.time(), []
        await shows(hub, "event.1", 1)
        await shows(hub, "me.7", 1)
        after = hub._loop.time()
        for now in (before + 2.9, after + 3.1, after + 6.0, after + 12.1):
            redis_client.connection().delete(store.MARKED)
            await hub.healing.heal(now=now)
            found.append(marked())
        return found

    assert with_hub(test, Untold) == [set(), {"event.1"}, set(), {"event.1", "me.7"}]


def test_unchanged_state_is_not_sent_again_but_shown_to_newcomers() -> None:
    async def test(hub: Hub) -> None:
        frame_keep(1, '"same"')
        screen = await shows(hub, "event.1", "same")
        frame_keep(2, '"same"')
        await hub.healing.heal(now=hub._loop.time() + 3.1)
        later = await shows(hub, "event.1", "same")
        assert (len(screen.frames), later.frames[0]["version"]) == (1, 2)
        frame_keep(3, '"other"')
        await hub.healing.heal(now=hub._loop.time() + 9)
        assert await until(lambda: screen.shows("other") and later.shows("other"))

    with_hub(test, Untold)


def test_everything_is_read_at_once_when_redis_is_back(
    private: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(hub: Hub) -> None:
        frame_keep(1, "1", "me.7")
        screen = await shows(hub, "me.7", 1)
        frame_keep(2, "2", "me.7")
        now = hub._loop.time()
        with monkeypatch.context() as away:
            away.setattr(hub.source, "report", gone)
            with pytest.raises(RedisError):
                await hub.healing.heal(now=now)
        await hub.healing.heal(now=now)
        assert await until(lambda: screen.shows(2))

    with_hub(test, Untold)


async def gone(**_: Any) -> bool:
    raise RedisError


# Telling the sockets ---------------------------------------------------------------------------------------------
def test_sockets_are_told_at_once_when_flushes_stop_and_when_they_go_on() -> None:
    async def test(hub: Hub) -> list[bool]:
        frame_keep(1, "1")
        screen = await shows(hub, "event.1", 1)
        now = hub.healing._flushed_at
        await hub.healing.heal(now=now + DEAF_SECONDS - 0.1)
        assert len(screen.frames) == 1, "a short pause is no news"
        await hub.healing.heal(now=now + DEAF_SECONDS + 0.1)
        store.flushed_note()
        await hub.healing.heal(now=now + DEAF_SECONDS + 1)
        return [frame["data"]["live"] for frame in screen.frames if frame["type"] == "heartbeat"]

    assert with_hub(test, Untold) == [False, True]


def told(screen: Screen) -> list[tuple[str, Any]]:
    return [(frame["type"], frame["data"]) for frame in screen.frames]


def test_a_socket_that_gets_a_state_while_flushes_have_stopped_is_told_that_it_may_be_old() -> None:
    old = ("heartbeat", {"live": False})

    async def test(hub: Hub) -> None:
        frame_keep(1, "1")
        first = await shows(hub, "event.1", 1)
        await hub.heartbeat.tell(live=False, now=0.0)
        second = Screen("event.1")
        await hub.attach(second.subscriber)
        assert told(second) == [("snapshot", 1), old]
        hub.resync(first.subscriber)
        assert await until(lambda: told(first) == [("snapshot", 1), old, ("snapshot", 1), old])
        hub.take(frame_make(2, "2"))
        assert await until(lambda: told(second)[2:] == [("update", 2), old])
        await hub.heartbeat.tell(live=True, now=0.0)
        third = Screen("event.1")
        await hub.attach(third.subscriber)
        assert told(third) == [("snapshot", 2)], "control"

    with_hub(test, Untold)


# The fingerprint ----------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
class TestFingerprint:
    def sent_twice(self, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> int:
        """Return how often a state is sent in which only the values of the clock change."""
        from realtime import publish
        from realtime.worker import flush

        sent: list[Any] = []
        really = flush.send
        monkeypatch.setattr(flush, "send", lambda frames: sent.extend(frames) or really(frames))
        for second in range(2):
            shown.states = {1: {"left": 2, "server_time": second, "tickets": [{"expires_in": 9 - second}]}}
            publish.streams_mark(streams=["event.1"])
            flush.flush()
        assert '"server_time":0' in sent[0].data, "they stay in the data"
        return len(sent)

    def test_a_change_only_by_the_clock_is_not_sent(
        self, shown: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.sent_twice(shown, monkeypatch) == 1

    def test_control_with_a_fingerprint_of_all_data_it_is_sent(
        self, shown: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from realtime.worker import flush

        monkeypatch.setattr(flush, "fingerprint", repr)
        assert self.sent_twice(shown, monkeypatch) == 2
