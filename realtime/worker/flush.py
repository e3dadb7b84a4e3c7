"""The flush: from marks on streams to frames for the hubs.

Runs in the broadcasts worker (Celery), in any of its threads and in several workers at once: even if flushes
overlap, fail or are repeated, the frame with the highest version shows the latest committed state.
How often a stream is sent is in `realtime/streams.py`.

Note [Version, then read]: each flush draws its version from a sequence first and reads the state afterwards. A
change is marked after its commit, so the flush that removes its mark has read it, and every flush with a higher
version reads still later. So flushes may run side by side, be late, or be repeated. (If it read first, a slow flush
could give an old state the highest version.) The advisory lock only adds that versions are sent in their order.
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
BURST = streams.PRIVATE_BURST + 1  # flushes at once after a rest: for a payment's steps, and one from beat

_throttle = Throttle(interval=streams.UPDATE_SECONDS, burst=BURST)
_turns = Lock()


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
        marks = _subscribed(_in_turn(_without_unknown(taken)))
        if marks:
            _deliver(marks)
        store.flushed_note()
        if len(taken) == LIMIT:
            publish.flush_enqueue()
    except (redis.RedisError, OperationalError, InterfaceError) as error:
        logger.warning("Live updates wait for a server: %s", str(error).strip())


def flush_in_turn() -> None:
    """Flush when it is this process's turn, at once after a rest.

    A stream that is marked while this waits is flushed too and enqueues no other flush. So a burst of changes makes
    ten flushes a second, not one for each change.
    """
    with _turns:
        time.sleep(_throttle.wait(now=time.monotonic()))
        _throttle.record(now=time.monotonic())
    flush()


def _deliver(marks: Sequence[Mark]) -> None:
    version, frames = versioned_state([mark.stream for mark in marks])
    outcomes = dict(zip((frame.stream for frame in frames), store.frames_store(frames), strict=True))
    sent = send([frame for frame in frames if outcomes[frame.stream] == "new"])
    # An "older" one stays marked until the flush that overtook this one has sent what it read.
    done = sent | {stream for stream, outcome in outcomes.items() if outcome == "same"}
    store.marks_finish([mark for mark in marks if mark.stream in done], version=version)
    store.marks_put_back(
        [mark.stream for mark in marks if mark.stream not in done and outcomes.get(mark.stream) != "older"]
    )


def _without_unknown(marks: Sequence[Mark]) -> list[Mark]:
    """Remove marks of kinds that are not registered: nothing else would ever remove them."""
    known = [mark for mark in marks if streams.known(streams.parse(mark.stream)[0])]
    if len(known) < len(marks):
        unknown = [mark for mark in marks if mark not in known]
        logger.error("No app registers these streams: %s", ", ".join(mark.stream for mark in unknown))
        store.marks_finish(unknown, version=0)
    return known


def _in_turn(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out the streams with a long interval that were read within it; their marks stay."""
    pauses = {mark.stream: streams.definition_of(mark.stream).interval for mark in marks}
    slow = {stream: pause for stream, pause in pauses.items() if pause > streams.UPDATE_SECONDS}
    waiting = set(slow) - store.turns_take(slow)
    return [mark for mark in marks if mark.stream not in waiting]


def _subscribed(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out, and forget, the streams without subscribers that are not public: a sale changes many of them."""
    private = [mark for mark in marks if streams.definition_of(mark.stream).access != Access.PUBLIC]
    forgotten = store.unheard_forget(private, version=draw_version()) if private else set()
    return [mark for mark in marks if mark.stream not in forgotten]


def versioned_state(names: Sequence[str]) -> tuple[int, list[Frame]]:
    """Draw a version, then read the streams' state; return both. See Note [Version, then read].

    A kind that its projection cannot read has no frames: it ends the transaction, and the others are read again.
    """
    try:
        with transaction():
            rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            version = draw_version()
            return version, read_state(names, version=version)
    except Unreadable as error:
        return versioned_state([name for name in names if streams.parse(name)[0] != error.kind])


def draw_version() -> int:
    """Return the next version, higher than all before, also than those before a backup was restored."""
    return int(rows("SELECT nextval('realtime_version') AS version")[0]["version"])


def read_state(names: Sequence[str], *, version: int) -> list[Frame]:
    """Read the streams by one call of each kind's projection; a stream that does not exist becomes a tombstone.

    Raises Unreadable.
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
        raise  # PostgreSQL is away or busy, for all kinds alike
    except Exception as error:  # a fault in one app must not stop the streams of the others
        logger.exception("The streams of %r could not be read.", kind)
        raise Unreadable(kind) from error


def _frame(name: str, version: int, state: Any) -> Frame:
    data = None if state is None else dumps(state).decode()
    return Frame(stream=name, version=version, data=data, fingerprint=fingerprint(state))


def send(frames: Sequence[Frame]) -> set[str]:
    """Send the frames to their streams' groups; return the streams whose frame was sent."""
    if not frames:
        return set()
    messages = [(frame.stream, {"type": "frame", **asdict(frame)}) for frame in frames]
    sent = publish.messages_send(messages=messages, seconds=SEND_SECONDS)
    return {frame.stream for frame in frames[:sent]}
