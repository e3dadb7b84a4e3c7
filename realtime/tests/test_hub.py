"""The hub, with the real channel layer: first frame, updates, conflation, groups, a Redis that fails."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from channels.layers import get_channel_layer
from redis import Redis, RedisError

from overlord.embedded import binaries, ports
from overlord.kernel import redis_client
from realtime import publish, store, streams
from realtime.gateway.hub import Hub
from realtime.gateway.subscriber import Subscriber
from realtime.gateway.subscription import Subscription
from realtime.rate_limits import Throttle
from realtime.streams import Access
from realtime.tests.helpers import Screen, Shown, frame_keep, frame_make, until, with_hub

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _streams(shown: Shown) -> None:
    """Register the streams of kind "event"."""


async def turns() -> None:
    """Let the other tasks of the loop have some turns, in which no time needs to pass."""
    for _ in range(10):
        await asyncio.sleep(0)


async def send_frame(version: int, data: str | None = None, stream: str = "event.1") -> None:
    text = data or str(version)
    message = {"type": "frame", "stream": stream, "version": version, "data": text, "fingerprint": text}
    await get_channel_layer().group_send(stream, message)


def test_a_subscriber_gets_the_kept_frame_then_updates_and_never_an_older_one() -> None:
    frame_keep(5, '{"left":1}')

    async def test(hub: Hub) -> None:
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: len(screen.frames) == 1)
        await send_frame(4, '"older"')
        await send_frame(6, '"newer"')
        assert await until(lambda: screen.shows("newer"))
        await asyncio.sleep(0.15)
        kinds = [(frame["type"], frame["version"], frame["data"]) for frame in screen.frames]
        assert kinds == [("snapshot", 5, {"left": 1}), ("update", 6, "newer")]
        assert set(screen.frames[0]) == {"type", "stream", "version", "server_time", "data"}
        assert screen.frames[0]["server_time"].endswith("Z")

    with_hub(test)


def test_a_second_subscriber_is_served_from_memory_without_redis(valkey: Any) -> None:
    frame_keep(5, "5")

    async def test(hub: Hub) -> None:
        first, second = Screen("event.1"), Screen("event.1")
        await hub.attach(first.subscriber)
        assert await until(lambda: first.shows(5))
        valkey.flushdb()
        await hub.attach(second.subscriber)
        assert second.shows(5)
        await send_frame(6)
        assert await until(lambda: first.shows(6) and second.shows(6))
        texts = [screen.messages[-1]["text"] for screen in (first, second)]
        assert texts[0] is texts[1], "encoded once, the same str for all"

    with_hub(test)


def test_a_stream_that_is_not_kept_is_marked_and_shown_when_a_flush_sends_it() -> None:
    async def test(hub: Hub) -> None:
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: bool(redis_client.connection().zcard(store.MARKED)))
        assert await until(lambda: redis_client.connection().llen("live") == 1)
        await send_frame(1, '"first"')
        assert await until(lambda: screen.shows("first"))
        assert screen.frames[0]["type"] == "snapshot"

    with_hub(test)


def test_without_a_first_frame_the_socket_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.gateway.hub.FIRST_FRAME_SECONDS", 0.2)

    async def test(hub: Hub) -> None:
        screen = Screen("event.1")
        started = asyncio.get_running_loop().time()
        await hub.attach(screen.subscriber)
        assert screen.codes == []
        assert await until(lambda: screen.codes == [4503], seconds=60)
        assert asyncio.get_running_loop().time() - started >= 0.2

    with_hub(test)


def test_a_tombstone_closes_the_socket_whether_kept_or_sent() -> None:
    frame_keep(5, None, "event.404")
    frame_keep(5, '"there"')

    async def test(hub: Hub) -> None:
        unknown, deleted = Screen("event.404"), Screen("event.1")
        await hub.attach(unknown.subscriber)
        await hub.attach(deleted.subscriber)
        assert await until(lambda: unknown.codes == [4404] and deleted.shows("there"))
        hub.take(frame_make(6, None))
        assert await until(lambda: deleted.codes == [4404])
        late = Screen("event.1")
        await hub.attach(late.subscriber)
        assert late.codes == [4404]
        assert late.frames == []

    with_hub(test)


def test_a_resync_on_a_stream_that_has_just_ended_closes_the_socket() -> None:
    frame_keep(5, '"there"')

    async def test(hub: Hub) -> None:
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: screen.shows("there"))
        hub.subscriptions["event.1"].accept(frame_make(6, None))  # it waits to be sent
        hub.resync(screen.subscriber)
        assert await until(lambda: screen.codes == [4404])
        assert len(screen.frames) == 1

    with_hub(test)


def test_streams_without_subscribers_are_forgotten() -> None:
    async def test(hub: Hub) -> None:
        frame_keep(1, "1")
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: hub.source.joined == {"event.1", publish.ADVICE})
        hub.detach(screen.subscriber)
        await hub.reconcile()
        assert not hub.subscriptions
        assert not hub.source.joined
        assert not screen.subscriber.timers
        frame_keep(2, "2")
        again = Screen("event.1")
        await hub.attach(again.subscriber)
        assert await until(lambda: again.shows(2))

    with_hub(test)


def test_a_socket_that_fails_is_detached_and_harms_no_other() -> None:
    async def test(hub: Hub) -> None:
        async def broken(_message: dict[str, Any]) -> None:
            raise RuntimeError("gone")

        frame_keep(1, "1")
        bad, good = Screen("event.1"), Screen("event.1")
        await hub.attach(bad.subscriber)
        await hub.attach(good.subscriber)
        assert await until(lambda: good.shows(1))
        bad.subscriber._send = broken
        await send_frame(2)
        assert await until(lambda: good.shows(2))
        assert hub.subscriptions["event.1"].subscribers == {good.subscriber}
        hub.subscriptions["event.1"].subscribers.add(bad.subscriber)
        hub.take(frame_make(3, None))
        assert await until(lambda: good.codes == [4404]), "also when a close fails"

    with_hub(test)


# Conflation ---------------------------------------------------------------------------------------------
class ForgetfulHub(Hub):
    """A hub that treats a frame to one subscriber as sent to all."""

    async def send_latest(self, subscription: Subscription, subscribers: Sequence[Subscriber]) -> None:
        if subscription.frame is not None:
            subscription.sent = subscription.frame.version
        await super().send_latest(subscription, subscribers)


async def one_catches_up_as_a_frame_arrives(hub: Hub) -> list[bool]:
    """Return for two screens whether each shows the frame that arrived while the first one caught up."""
    screens = [Screen("event.1"), Screen("event.1")]
    for screen in screens:
        await hub.attach(screen.subscriber)
    await until(lambda: all(screen.frames for screen in screens))
    hub.take(frame_make(2, '"new"'))  # the sender begins at the loop's next turn
    await hub._catch_up(screens[0].subscriber)
    return [await until(lambda s=screen: s.shows("new"), seconds=1) for screen in screens]


def test_a_subscriber_that_catches_up_takes_no_frame_from_the_others() -> None:
    frame_keep(1, "1")
    assert with_hub(one_catches_up_as_a_frame_arrives) == [True, True]


def test_control_a_hub_that_treats_one_as_all_leaves_the_others_behind() -> None:
    frame_keep(1, "1")
    assert with_hub(one_catches_up_as_a_frame_arrives, ForgetfulHub) == [True, False]


async def rested(hub: Hub, stream: str, *, interval: float) -> Screen:
    """Return a screen of a stream that was sent nothing for long, and may be sent once in `interval` seconds."""
    frame_keep(1, "1", stream)
    screen = Screen(stream)
    await hub.attach(screen.subscriber)
    assert await until(lambda: screen.shows(1))
    burst = streams.definition_of(stream).burst
    hub.subscriptions[stream].throttle = Throttle(interval=interval, burst=burst)
    return screen


def test_a_burst_is_conflated_and_ends_with_the_last_state() -> None:
    async def test(hub: Hub) -> tuple[int, float]:
        screen = await rested(hub, "event.1", interval=streams.UPDATE_SECONDS)
        began = hub._loop.time()
        for version in range(2, 52):
            hub.take(frame_make(version, str(version)))
            await asyncio.sleep(0.01)
        assert await until(lambda: screen.shows(51))
        return len(screen.frames) - 1, hub._loop.time() - began

    updates, seconds = with_hub(test)
    assert 4 <= updates <= seconds / streams.UPDATE_SECONDS + 1


async def two_at_once(hub: Hub, *, interval: float, seconds: float) -> Screen:
    """Send two frames to a screen, the second before `interval` seconds have passed."""
    screen = await rested(hub, "event.1", interval=interval)
    for version in (2, 3):
        hub.take(frame_make(version, str(version)))
        await turns()
    await until(lambda: screen.shows(3), seconds=seconds)
    return screen


class LeadingEdgeOnly(Hub):
    """A hub that drops a frame for which it would have to wait."""

    async def _send_out(self, subscription: Subscription) -> None:
        if subscription.throttle.wait(now=self._loop.time()) == 0.0:
            await super()._send_out(subscription)
        subscription.sender = None


def test_the_last_of_two_states_is_shown_after_the_interval() -> None:
    assert with_hub(partial(two_at_once, interval=0.3, seconds=30)).shows(3)


def test_control_without_the_trailing_edge_the_last_state_is_missing() -> None:
    assert with_hub(partial(two_at_once, interval=1000, seconds=0.5), LeadingEdgeOnly).shows(2)


async def steps_of_a_payment(hub: Hub) -> list[Any]:
    """Send four states of a private stream after a rest; return those that wait for no other."""
    screen = await rested(hub, "me.7", interval=1000)
    for version in (2, 3, 4, 5):
        hub.take(frame_make(version, str(version), "me.7"))
        await turns()
    return [frame["data"] for frame in screen.frames[1:]]


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the streams of kind "me", for their owner."""
    definition = streams.Definition(access=Access.OWNER, project=lambda ids: {})
    monkeypatch.setitem(streams._definitions, "me", definition)


@pytest.mark.usefixtures("private")
def test_the_steps_of_a_payment_do_not_wait_for_each_other() -> None:
    assert with_hub(steps_of_a_payment) == [2, 3, 4]


@pytest.mark.usefixtures("private")
def test_control_without_the_burst_the_steps_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PRIVATE_BURST", 1)
    assert with_hub(steps_of_a_payment) == [2]


class TakesAll:
    """A writer whose client is never slow, so that sending never waits."""

    def offer(self, _frame: bytes) -> bool:
        return True


def turns_while_sending(monkeypatch: pytest.MonkeyPatch, *, at_once: int) -> int:
    """Return how often other tasks had a turn while nine sockets were sent a state."""
    monkeypatch.setattr("realtime.gateway.hub.SOCKETS_AT_ONCE", at_once)

    async def test(hub: Hub) -> int:
        screens = [Screen("event.1") for _ in range(9)]
        subscription = hub.subscriptions["event.1"] = Subscription(stream="event.1", now=0.0)
        subscription.frame = frame_make(2, "2")
        for screen in screens:
            screen.subscriber.writer, screen.subscriber.version = TakesAll(), 1  # type: ignore[assignment]
            subscription.subscribers.add(screen.subscriber)
        sending = asyncio.create_task(hub.send_latest(subscription, [*subscription.subscribers]))
        turns = -1  # the turn in which it begins
        while not sending.done():
            await asyncio.sleep(0)
            turns += 1
        assert {screen.subscriber.version for screen in screens} == {2}
        return turns

    return int(with_hub(test))


def test_other_tasks_run_between_many_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns_while_sending(monkeypatch, at_once=3) == 2


def test_control_with_all_at_once_other_tasks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns_while_sending(monkeypatch, at_once=9) == 0


def test_an_update_after_a_pause_goes_at_once() -> None:
    async def test(hub: Hub) -> None:
        frame_keep(1, "1")
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        await until(lambda: screen.shows(1))
        await asyncio.sleep(0.12)
        hub.take(frame_make(2, "2"))
        await turns()
        assert screen.shows(2)

    with_hub(test)


# Heartbeats and resync ----------------------------------------------------------------------------------
def test_a_heartbeat_carries_the_version_last_sent_every_15_seconds() -> None:
    async def test(hub: Hub) -> None:
        frame_keep(7, "7")
        screen = Screen("event.1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: screen.shows(7))
        now = asyncio.get_running_loop().time()
        for seconds in (10, 16, 20, 30, 32):
            await hub.heartbeat.beat(now=now + seconds)
        beats = [frame for frame in screen.frames if frame["type"] == "heartbeat"]
        assert [set(beat) for beat in beats] == [{"type", "stream", "version", "server_time", "data"}] * 2
        assert beats[0]["version"] == 7

    with_hub(test)


async def three_resyncs(hub: Hub) -> tuple[int, int]:
    """Return how many snapshots answered at once, and how many when no resync waits any more."""
    frame_keep(1, "1")
    screen = Screen("event.1")
    await hub.attach(screen.subscriber)
    await until(lambda: screen.shows(1))
    for _ in range(3):
        hub.resync(screen.subscriber)
        await turns()
    at_once = len(screen.frames) - 1
    await until(lambda: "resync" not in screen.subscriber.timers)
    await turns()
    return at_once, len(screen.frames) - 1


def test_resyncs_are_answered_once_a_second_and_the_last_one_too() -> None:
    assert with_hub(three_resyncs) == (1, 2)


def test_control_without_the_limit_each_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rate_limits.RESYNC_SECONDS", 0.0)
    assert with_hub(three_resyncs) == (3, 3)


# A Redis that fails -------------------------------------------------------------------------------------
class SpareValkey:
    """A server for one test, which starts and kills it."""

    def __init__(self, folder: Path) -> None:
        self.port = ports.any_free()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [binaries.valkey(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--daemonize", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = Redis(port=self.port)
        while True:
            with contextlib.suppress(RedisError):
                client.ping()
                client.close()
                return
            assert self._process.poll() is None
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def spare(tmp_path: Path, settings: Any) -> Iterator[SpareValkey]:
    server = SpareValkey(tmp_path)
    usual = settings.REDIS_URL
    settings.REDIS_URL = server.url
    settings.CHANNEL_LAYERS = {
        "default": {**settings.CHANNEL_LAYERS["default"], "CONFIG": {"hosts": [server.url]}}
    }
    redis_client.connection.cache_clear()
    yield server
    server.kill()
    settings.REDIS_URL = usual
    redis_client.connection().close()
    redis_client.connection.cache_clear()


class CountingHub(Hub):
    """A hub that counts how often it has reconciled its streams, also in vain."""

    attempts = 0

    async def reconcile(self) -> None:
        try:
            await super().reconcile()
        finally:
            self.attempts += 1


class JoinsOnce(CountingHub):
    """A hub that does not try again."""

    async def reconcile(self) -> None:
        if not self.attempts:
            await super().reconcile()


def first_subscriber_while_away(
    spare: SpareValkey, *, tries: int
) -> Callable[[CountingHub], Awaitable[bool]]:
    """Return a test of whether a later subscriber gets updates when the first came while Redis was down."""

    async def test(hub: CountingHub) -> bool:
        first = Screen("event.1")
        await hub.attach(first.subscriber)
        assert await until(lambda: hub.attempts > 0)
        await asyncio.to_thread(spare.start)
        later = Screen("event.1")
        await hub.attach(later.subscriber)

        async def heard() -> bool:
            with contextlib.suppress(RedisError):
                await send_frame(9)
            return await until(lambda: later.shows(9), seconds=0.1)

        for _ in range(tries):
            if await heard():
                return True
        return False

    return test


def test_a_first_subscriber_while_redis_is_down_leaves_no_stream_without_updates(spare: SpareValkey) -> None:
    assert with_hub(first_subscriber_while_away(spare, tries=300), CountingHub)


def test_control_without_reconciling_the_stream_gets_no_updates(spare: SpareValkey) -> None:
    assert not with_hub(first_subscriber_while_away(spare, tries=30), JoinsOnce)


def test_a_hub_reconnects_to_a_killed_redis_and_keeps_its_sockets(spare: SpareValkey) -> None:
    async def test(hub: Hub) -> None:
        await asyncio.to_thread(spare.start)
        screen = Screen("event.1")
        frame_keep(1, "1")
        await hub.attach(screen.subscriber)
        assert await until(lambda: screen.shows(1))
        spare.kill()
        await asyncio.sleep(0.5)
        meanwhile = Screen("event.1")
        await hub.attach(meanwhile.subscriber)
        assert meanwhile.shows(1), "from memory"
        await asyncio.to_thread(spare.start)
        for _ in range(300):
            with contextlib.suppress(RedisError):
                await send_frame(2)
            if await until(lambda: screen.shows(2) and meanwhile.shows(2), seconds=0.1):
                break
        assert screen.shows(2)
        assert meanwhile.shows(2)

    with_hub(test)


def test_two_hubs_both_get_updates() -> None:
    async def test(hub: Hub) -> None:
        other = Hub()
        other.start()
        try:
            frame_keep(1, "1")
            screens = [Screen("event.1"), Screen("event.1")]
            await hub.attach(screens[0].subscriber)
            await other.attach(screens[1].subscriber)
            assert await until(lambda: all(screen.shows(1) for screen in screens))
            await send_frame(2)
            assert await until(lambda: all(screen.shows(2) for screen in screens))
        finally:
            await other.stop()

    with_hub(test)
