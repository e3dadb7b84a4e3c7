"""The flush: reads the marked streams from PostgreSQL and sends their frames to the hubs.

Runs in the broadcasts workers (Celery), in any of their threads. `realtime/streams.py` says how often a stream is
sent.

What must stay true: the frame with the highest version shows the latest committed state, even when flushes overlap,
fail or are repeated.

Note [Version, then read]: each flush first draws its version from a sequence, and then reads the state. A change is
marked after its commit. So the flush that removes the mark has read the change. A flush with a higher version drew
it later and read after that, so it has read the change too. If a flush read first, a slow flush could give an old
state the highest version. The order of these two steps is enough, also without the advisory lock. The lock only
makes flushes read one after the other, in the order of their versions.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

import redis
from django.db import InterfaceError, OperationalError

from overlord.kernel import clock
from overlord.kernel.db import rows, transaction
from overlord.kernel.rendering import dumps, fingerprint
from realtime import publish, store, streams
from realtime.rate_limits import Throttle
from realtime.store import Frame, Mark
from realtime.streams import Access, StreamId

logger = logging.getLogger(__name__)

LIMIT = 300  # streams in one flush
SEND_SECONDS = 5.0
LOCK = 0x6C697665  # "live"
BURST = streams.PRIVATE_BURST + 1  # flushes without a wait after a rest: those of a payment, and one of beat

_throttle = Throttle(interval=streams.UPDATE_SECONDS, burst=BURST)
_one_at_a_time = Lock()


class Unreadable(Exception):
    """The projection of a kind of streams failed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def flush() -> None:
    """Send the current state of marked streams, at most LIMIT of them, to the hubs.

    A stream that cannot be read or sent stays marked for the next flush. If a server is away, this is only logged.
    """
    try:
        taken = store.marks_take(limit=LIMIT)
        marks = _subscribed(_without_paused(_without_unknown(taken)))
        if marks:
            _deliver(marks)
        store.flushed_note()
        if len(taken) == LIMIT:
            publish.flush_enqueue()
    except (redis.RedisError, OperationalError, InterfaceError) as error:
        logger.warning("Live updates wait for a server: %s", str(error).strip())


def flush_throttled() -> None:
    """Flush as soon as the limit of this process allows it: ten flushes a second, BURST at once after a rest.

    A stream that is marked while this waits is part of the same flush, and enqueues no other flush. So a burst of
    changes makes ten flushes a second, not one for each change.
    """
    with _one_at_a_time:
        time.sleep(_throttle.wait(now=time.monotonic()))
        _throttle.record(now=time.monotonic())
    flush()


def _deliver(marks: Sequence[Mark]) -> None:
    version, frames = versioned_state([mark.stream for mark in marks])
    outcomes = dict(zip((frame.stream for frame in frames), store.frames_store(frames), strict=True))
    sent = send([frame for frame in frames if outcomes[frame.stream] == "new"])
    # An "older" frame's stream stays marked, until the flush with the newer frame has sent it.
    done = sent | {stream for stream, outcome in outcomes.items() if outcome == "same"}
    store.marks_finish([mark for mark in marks if mark.stream in done], version=version)
    store.marks_put_back(
        [mark.stream for mark in marks if mark.stream not in done and outcomes.get(mark.stream) != "older"]
    )


def _without_unknown(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks of registered kinds. Delete all others in Redis: nothing else would ever delete them."""
    known = [mark for mark in marks if streams.known(streams.parse(mark.stream)[0])]
    if len(known) < len(marks):
        unknown = [mark for mark in marks if mark not in known]
        logger.error("No app registers these streams: %s", ", ".join(mark.stream for mark in unknown))
        store.marks_finish(unknown, version=0)
    return known


def _without_paused(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out the streams with a long interval that is not over yet; their marks stay in Redis."""
    pauses = {mark.stream: streams.definition_of(mark.stream).interval for mark in marks}
    slow = {stream: pause for stream, pause in pauses.items() if pause > streams.UPDATE_SECONDS}
    waiting = set(slow) - store.intervals_begin(slow)
    return [mark for mark in marks if mark.stream not in waiting]


def _subscribed(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out and forget streams that are not public and have no subscribers. A sale changes many of these."""
    private = [mark for mark in marks if streams.definition_of(mark.stream).access != Access.PUBLIC]
    forgotten = store.unwatched_forget(private, version=draw_version()) if private else set()
    return [mark for mark in marks if mark.stream not in forgotten]


def versioned_state(names: Sequence[str]) -> tuple[int, list[Frame]]:
    """Draw a version, then read the streams' state; return the version and the frames.

    If the projection of a kind fails, the transaction ends, and the streams of the other kinds are read again. The
    failed kind has no frames. See Note [Version, then read].
    """
    try:
        with transaction():
            rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            version = draw_version()
            return version, read_state(names, version=version)
    except Unreadable as error:
        return versioned_state([name for name in names if streams.parse(name)[0] != error.kind])


def draw_version() -> int:
    """Return the next version. It is higher than all earlier ones, even after the restore of a backup."""
    return int(rows("SELECT nextval('realtime_version') AS version")[0]["version"])


def read_state(names: Sequence[str], *, version: int) -> list[Frame]:
    """Return a frame for each stream: a tombstone for a stream that does not exist. Raise Unreadable.

    The projection of each kind is called once.
    """
    by_kind: dict[str, dict[StreamId, str]] = {}
    for name in names:
        kind, stream_id = streams.parse(name)
        by_kind.setdefault(kind, {})[streams.ALONE if stream_id is None else stream_id] = name
    frames = []
    for kind, named in by_kind.items():
        alone = kind in named.values()
        state = _project(kind, () if alone else list(named))
        frames += [_frame(name, version, state.get(stream_id)) for stream_id, name in named.items()]
    return frames


def _project(kind: str, ids: Sequence[StreamId]) -> Mapping[StreamId, Any]:
    try:
        return streams.get(kind).project(ids, now=clock.now())
    except (OperationalError, InterfaceError):
        raise  # PostgreSQL is away or busy: no kind can be read
    except Exception as error:  # a fault in one app must not stop the streams of the others
        logger.exception("The streams of %r could not be read.", kind)
        raise Unreadable(kind) from error


def _frame(name: str, version: int, state: Any) -> Frame:
    data = None if state is None else dumps(state).decode()
    return Frame(stream=name, version=version, data=data, fingerprint=fingerprint(state))


def send(frames: Sequence[Frame]) -> set[str]:
    """Send each frame to the channel-layer group of its stream; return the streams whose frame was sent."""
    if not frames:
        return set()
    messages = [(frame.stream, {"type": "frame", **asdict(frame)}) for frame in frames]
    sent = publish.messages_send(messages=messages, seconds=SEND_SECONDS)
    return {frame.stream for frame in frames[:sent]}
