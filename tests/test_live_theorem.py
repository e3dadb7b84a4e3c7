"""The theorem of live state: after the last loss, the next frame gives a client the true state.

Hypothesis draws sequences of changes, of flushes that run side by side and are late at any of their steps, and of
messages that are dropped, repeated and reordered. The store, database, reading and fingerprints are the real ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.db import transaction as django_transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from overlord.kernel import redis_client
from realtime import publish, store, streams
from realtime.store import Frame, Mark
from realtime.worker import flush

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = "event.1"
Step = tuple[str, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["change", "take", "go_on", "go_on", "hear", "again", "drop"]), st.integers(0, 9)
    ),
    min_size=15,
    max_size=50,
)
RIGHT = ("draw", "read", "deliver")  # Note [Version, then read]
WRONG = ("read", "draw", "deliver")


class Client:
    """A client as docs/realtime.md requires it: it replaces its state by newer versions, and does nothing else."""

    def __init__(self) -> None:
        self.version, self.data = 0, None

    def hear(self, frame: Frame) -> None:
        if frame.version > self.version:
            self.version, self.data = frame.version, orjson.loads(frame.data or "null")


class Believing(Client):
    """The control: a client that takes the last frame, whatever its version."""

    def hear(self, frame: Frame) -> None:
        self.version, self.data = frame.version, orjson.loads(frame.data or "null")


class Flush:
    """A flush that can stop between its steps. Several run side by side, as no lock separates them here."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.marks: list[Mark] = store.marks_take(limit=9)
        self.left = list(world.order) if self.marks else []
        self.version = 0
        self.frames: list[Frame] = []

    def go_on(self) -> None:
        """Take the next step."""
        if self.left:
            getattr(self, self.left.pop(0))()

    def finish(self) -> None:
        while self.left:
            self.go_on()

    def draw(self) -> None:
        self.version = flush.draw_version()

    def read(self) -> None:
        with django_transaction.atomic():
            self.frames = flush.read_state([STREAM], version=0)

    def deliver(self) -> None:
        frames = [replace(frame, version=self.version) for frame in self.frames]
        [outcome] = store.frames_store(frames)
        self.world.on_the_way += frames if outcome == "new" else []
        if outcome != "older":
            store.marks_finish(self.marks, version=self.version)


class World:
    """A state that changes, flushes side by side, messages on their way, and a client."""

    def __init__(self, client: Client, order: Sequence[str]) -> None:
        redis_client.connection().flushdb()
        self.truth, self.client, self.order = 0, client, order
        self.flushes: list[Flush] = []
        self.on_the_way: list[Frame] = []
        publish.streams_mark(streams=[STREAM])

    def state(self) -> dict[str, Any]:
        return {"value": self.truth, "server_time": self.truth * 10}

    def do(self, step: str, nth: int) -> None:
        if step == "change":
            self.truth += 1 if nth < 8 else -1
            publish.streams_mark(streams=[STREAM])
        elif step == "take":
            self.flushes.append(Flush(self))
        elif step == "go_on" and self.flushes:
            self.flushes[nth % len(self.flushes)].go_on()
        elif self.on_the_way and step in ("hear", "again", "drop"):
            which = nth % len(self.on_the_way)
            frame = self.on_the_way[which] if step == "again" else self.on_the_way.pop(which)
            if step != "drop":
                self.client.hear(frame)

    def settle(self) -> None:
        """Flush as beat does, then finish the late flushes. The client gets one frame, then all late ones."""
        Flush(self).finish()
        for late in reversed(self.flushes):
            late.finish()
        Flush(self).finish()
        assert store.marks_take(limit=9) == []
        kept = store.frame_of(
            STREAM, redis_client.connection().hmget(store.frame_key(STREAM), store.FRAME_FIELDS)
        )
        assert kept is not None
        self.client.hear(kept)
        for frame in reversed(self.on_the_way):
            self.client.hear(frame)


@contextmanager
def showing(world: World) -> Iterator[None]:
    kind = streams.Definition(access=streams.Access.PUBLIC, project=lambda ids, now: {1: world.state()})
    before = streams._definitions["event"]
    streams._definitions["event"] = kind
    try:
        yield
    finally:
        streams._definitions["event"] = before


def holds(make: Callable[[], World], steps: list[Step]) -> bool:
    world = make()
    with showing(world):
        Flush(world).finish()
        for step, nth in steps:
            world.do(step, nth)
        world.settle()
        return bool(world.client.data["value"] == world.state()["value"])


def check(make: Callable[[], World], *, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(STEPS)
    def theorem(steps: list[Step]) -> None:
        assert holds(make, steps)

    theorem()


def test_a_client_ends_with_the_true_state_in_any_order_of_steps() -> None:
    check(lambda: World(Client(), RIGHT), examples=150)


def test_control_without_the_version_check_it_fails() -> None:
    with pytest.raises(AssertionError):
        check(lambda: World(Believing(), RIGHT), examples=300)


def test_control_without_the_order_of_version_and_reading_it_fails() -> None:
    with pytest.raises(AssertionError):
        check(lambda: World(Client(), WRONG), examples=300)
