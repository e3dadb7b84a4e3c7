"""The drain: from marks on streams to frames on the sockets' side.

Note [Version, then read]: each drain draws its version from a sequence first and reads the state afterwards.
A change is marked after its commit, so the drain that takes its mark away reads it, and every drain with a
higher version reads later still. Drains may therefore run side by side, be late, be repeated: the frame with
the highest version always shows what was last committed. (Read first, and a slow drain could give a stale
state the highest version.) The advisory lock adds that versions never go back in time on their way.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

import redis
from django.db import InterfaceError, OperationalError

from overlord.kernel.db import rows, savepoint, transaction
from overlord.kernel.rendering import dumps, fingerprint
from realtime import publish, store, streams
from realtime.rate_limits import Pace
from realtime.store import Frame, Mark

logger = logging.getLogger(__name__)

LIMIT = 300  # streams in one run
SEND_SECONDS = 5.0
LOCK = 0x6C697665  # "live"
PAUSE = 0.1  # seconds; hubs let as many pass between two updates of a stream
AT_ONCE = 3  # drains after a rest: a single payment's steps do not wait for one another

_pace = Pace(interval=PAUSE, burst=AT_ONCE)
_turns = Lock()


def flush() -> None:
    """Will send the present state of marked streams, at most LIMIT of them, to all who watch them.

    What cannot be read or sent stays marked, for the next run; a server that is away is only logged.
    """
    try:
        taken = store.marks_take(limit=LIMIT)
        marks = _heard(_in_turn(_without_unknown(taken)))
        if marks:
            _deliver(marks)
        store.drained_note()
        if len(taken) == LIMIT:
            publish.flush_enqueue()
    except (redis.RedisError, OperationalError, InterfaceError) as error:
        logger.warning("The live state waits for a server: %s", str(error).strip())


def flush_in_turn() -> None:
    """Will drain at once, or wait for this process's turn: what changes meanwhile is in it, and calls for no other
    drain, so that a burst is ten of them in a second and not one for each change."""
    with _turns:
        time.sleep(_pace.wait(now=time.monotonic()))
        _pace.sent(now=time.monotonic())
    flush()


def _deliver(marks: Sequence[Mark]) -> None:
    version, frames = versioned_state([mark.stream for mark in marks])
    outcomes = dict(zip((frame.stream for frame in frames), store.frames_store(frames), strict=True))
    sent = send([frame for frame in frames if outcomes[frame.stream] == "new"])
    # An "older" one stays marked until the drain that overtook this one has sent what it read.
    done = sent | {stream for stream, outcome in outcomes.items() if outcome == "same"}
    store.marks_finish([mark for mark in marks if mark.stream in done], version=version)
    store.marks_put_back(
        [mark.stream for mark in marks if mark.stream not in done and outcomes.get(mark.stream) != "older"]
    )


def _without_unknown(marks: Sequence[Mark]) -> list[Mark]:
    """A mark of a kind that nobody registered would stay for ever."""
    known = [mark for mark in marks if streams.known(streams.parse(mark.stream)[0])]
    if len(known) < len(marks):
        unknown = [mark for mark in marks if mark not in known]
        logger.error("Nobody shows these streams: %s", ", ".join(mark.stream for mark in unknown))
        store.marks_finish(unknown, version=0)
    return known


def _in_turn(marks: Sequence[Mark]) -> list[Mark]:
    """A stream that many changes mark and that is dear to read waits for its turn; its mark stays."""
    pauses = {mark.stream: streams.kind_of(mark.stream).interval for mark in marks}
    slow = {stream: pause for stream, pause in pauses.items() if pause > streams.INTERVAL}
    waiting = set(slow) - store.turns_take(slow)
    return [mark for mark in marks if mark.stream not in waiting]


def _heard(marks: Sequence[Mark]) -> list[Mark]:
    """A sale changes many people's own streams, of which few are being watched: the others are not read."""
    private = [mark for mark in marks if streams.kind_of(mark.stream).access == "owner"]
    forgotten = store.unheard_forget(private, version=draw_version()) if private else set()
    return [mark for mark in marks if mark.stream not in forgotten]


def versioned_state(names: Sequence[str]) -> tuple[int, list[Frame]]:
    """Will draw a version, then read the streams' state. See Note [Version, then read].

    Streams that their projection could not read are missing among the frames.
    """
    with transaction():
        rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        version = draw_version()
        return version, read_state(names, version=version)


def draw_version() -> int:
    """Will give the next version, higher than all before, those of a restored database's past included."""
    return int(rows("SELECT nextval('realtime_version') AS version")[0]["version"])


def read_state(names: Sequence[str], *, version: int) -> list[Frame]:
    """Will read the streams by one call of each kind's projection; a missing one becomes a tombstone."""
    by_kind: dict[str, dict[int, str]] = {}
    for name in names:
        kind, stream_id = streams.parse(name)
        by_kind.setdefault(kind, {})[streams.ALONE if stream_id is None else stream_id] = name
    frames = []
    for kind, named in by_kind.items():
        alone = kind in named.values()
        state = _project(kind, () if alone else list(named))
        if state is not None:
            frames += [_frame(name, version, state.get(stream_id)) for stream_id, name in named.items()]
    return frames


def _project(kind: str, ids: Sequence[int]) -> Mapping[int, Any] | None:
    try:
        with savepoint():
            return streams.get(kind).project(ids)
    except (OperationalError, InterfaceError):
        raise  # PostgreSQL is away or busy, for all kinds alike
    except Exception:  # one app's fault must not blind the others' viewers
        logger.exception("The streams of %r could not be read.", kind)
        return None


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


def epoch_begin() -> int:
    """Raise the frame versions to the microseconds since 1970 if that is higher, and return the new value.

    A drain adds one, so that versions drawn later are always higher: a restored database, whose sequence went
    back, never loses to frames that a cache or a browser has kept. JavaScript holds them exactly until 2255.
    """
    with transaction():
        rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        lifted = rows(
            "SELECT setval('realtime_version', greatest(last_value,"
            " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS version FROM realtime_version"
        )
    return int(lifted[0]["version"])
