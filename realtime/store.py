"""The live data in Redis: marks on streams that changed, the latest frame of each stream, and versioned values.

Runs in every process and thread. The hubs read frames over a connection of their own (`gateway/frame_source.py`).

What must stay true: a comparison and the write that follows are one Lua script, so that no other command runs
between them. All data here may be lost: frames and values are made again from PostgreSQL.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any, TypeVar, cast

import redis
from redis.commands.core import Script

from overlord.kernel import redis_client

MARKED = "live:marked"  # sorted set: stream -> number of its latest mark
MARK_NUMBER = "live:mark-number"  # counter: the number of the latest mark
FLUSH_QUEUED = "live:flush-queued"  # exists while a flush waits in its queue
QUEUED_SECONDS = 2
FLUSHED = "live:flushed"  # exists while flushes succeed
FLUSHED_SECONDS = 3
GROUP = "asgi__group__"  # followed by a group's name: the channel on which channels_redis sends to it
KEPT_SECONDS = 900
TOMBSTONE_SECONDS = 60

_KEEP_IF_NOT_OLDER = """
local function keep(key, field, version, value, seconds)
  local kept = redis.call('HGET', key, field)
  if kept and tonumber(string.match(kept, '^%d+')) > tonumber(version) then return end
  redis.call('HSET', key, field, version .. ' ' .. value)
  redis.call('EXPIRE', key, seconds)
end
"""

# ARGV: seconds; then of each value: key, field, version, value.
KEEP_VALUES = (
    _KEEP_IF_NOT_OLDER
    + """
for i = 2, #ARGV, 4 do keep(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[1]) end
"""
)

# KEYS: marked, mark number, flush queued. ARGV: seconds, queued seconds (0: no flush is wanted), number of streams,
# the streams, the values as above. Returns 1 when a flush has to be enqueued, else 0.
MARK = (
    _KEEP_IF_NOT_OLDER
    + """
local streams = tonumber(ARGV[3])
for i = 4 + streams, #ARGV, 4 do keep(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[1]) end
if streams == 0 then return 0 end
local mark = redis.call('INCR', KEYS[2])
for i = 4, 3 + streams do redis.call('ZADD', KEYS[1], mark, ARGV[i]) end
if ARGV[2] ~= '0' and redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[2]) then return 1 end
return 0
"""
)

# KEYS: the frames. ARGV: version, seconds, tombstone seconds; then of each frame: data ('' for a tombstone) and
# fingerprint. Returns for each frame: 'older' (the kept frame is at least as new), 'same' (its content was sent
# already) or 'new'. A 'same' frame replaces the kept one too: its higher version keeps a slower flush from storing
# an older state.
STORE_FRAMES = """
local outcomes = {}
for i, key in ipairs(KEYS) do
  local kept = redis.call('HMGET', key, 'version', 'fingerprint', 'sent')
  local data, fingerprint = ARGV[2 * i + 2], ARGV[2 * i + 3]
  if kept[1] and tonumber(kept[1]) >= tonumber(ARGV[1]) then
    outcomes[i] = 'older'
  else
    outcomes[i] = kept[2] == fingerprint and kept[3] == '1' and 'same' or 'new'
    local sent = outcomes[i] == 'same' and '1' or '0'
    redis.call('HSET', key, 'version', ARGV[1], 'data', data, 'fingerprint', fingerprint, 'sent', sent)
  end
  if outcomes[i] ~= 'older' then redis.call('EXPIRE', key, data == '' and ARGV[3] or ARGV[2]) end
end
return outcomes
"""

# KEYS: marked, then the frames that were sent. ARGV: version; then of each frame: stream and number of its mark.
FINISH = """
for i = 2, #KEYS do
  local stream, mark = ARGV[2 * i - 2], ARGV[2 * i - 1]
  if redis.call('HGET', KEYS[i], 'version') == ARGV[1] then redis.call('HSET', KEYS[i], 'sent', '1') end
  local latest = redis.call('ZSCORE', KEYS[1], stream)
  if latest and tonumber(latest) == tonumber(mark) then redis.call('ZREM', KEYS[1], stream) end
end
"""

# KEYS: marked, then the frames. ARGV: version, seconds; then of each frame: stream, number of its mark, channel. If
# no hub has joined a stream, its frame and this mark are deleted. The next hub that joins finds no frame and marks
# the stream again. The version of this flush is kept, so that a slower flush cannot store an older state. A newer
# frame stays, because it already shows the change. Returns the forgotten streams.
FORGET_UNWATCHED = """
local forgotten = {}
for i = 2, #KEYS do
  local stream, mark, channel = ARGV[3 * i - 3], ARGV[3 * i - 2], ARGV[3 * i - 1]
  if redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then
    local kept = redis.call('HGET', KEYS[i], 'version')
    if not kept or tonumber(kept) < tonumber(ARGV[1]) then
      redis.call('HDEL', KEYS[i], 'data', 'fingerprint', 'sent')
      redis.call('HSET', KEYS[i], 'version', ARGV[1])
      redis.call('EXPIRE', KEYS[i], ARGV[2])
    end
    local latest = redis.call('ZSCORE', KEYS[1], stream)
    if latest and tonumber(latest) == tonumber(mark) then redis.call('ZREM', KEYS[1], stream) end
    forgotten[#forgotten + 1] = stream
  end
end
return forgotten
"""

# KEYS: marked, mark number. ARGV: the streams, which are flushed after all others that are marked now.
PUT_BACK = """
local mark = redis.call('INCR', KEYS[2])
for _, stream in ipairs(ARGV) do redis.call('ZADD', KEYS[1], mark, stream) end
"""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A stream's whole state. `data` is its JSON text, or None (a tombstone) when the stream does not exist.

    If frames of one stream have equal fingerprints, only fields that the clock changes differ between them.
    """

    stream: str
    version: int
    data: str | None
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A stream that changed, and the number of its latest mark."""

    stream: str
    number: int


class Breaker:
    """A circuit breaker: while Redis is away, callers do not wait for it.

    For `seconds` after a failure, nobody may ask Redis. Then one caller may ask every `seconds`, until Redis
    answers again.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._open_until: float | None = None

    def allows(self) -> bool:
        """Return whether Redis may be asked now."""
        with self._lock:
            if self._open_until is None:
                return True
            if self._clock() < self._open_until:
                return False
            self._open_until = self._clock() + self._seconds  # this caller tries, the others do not
            return True

    def failed(self) -> None:
        """Record that Redis did not answer."""
        with self._lock:
            self._open_until = self._clock() + self._seconds

    def succeeded(self) -> None:
        """Record that Redis answered."""
        self._open_until = None


breaker = Breaker(seconds=1.0)


def guarded(ask: Callable[[], Result]) -> Result | None:
    """Return the result of `ask`, or None when Redis is away. Raises no Redis error."""
    if not breaker.allows():
        return None
    try:
        answer = ask()
    except redis.RedisError:
        breaker.failed()
        return None
    breaker.succeeded()
    return answer


def run(script: str, *, keys: Sequence[str], args: Sequence[str | int]) -> Any:
    """Run a script in one round trip (three when Redis does not know it yet), and return its answer.

    Raise `redis.RedisError`.
    """
    return _registered(script)(keys=keys, args=args, client=redis_client.connection())


@lru_cache
def _registered(script: str) -> Script:
    return redis_client.connection().register_script(script)  # cached, because this hashes the text


def frame_key(stream: str) -> str:
    """Return the key of a stream's latest frame."""
    return f"live:frame:{stream}"


def value_key(key: str) -> str:
    """Return the key of the hash in Redis that keeps the versioned values of `key`."""
    return f"live:entry:{key}"


def kept_delete() -> None:
    """Delete all frames and versioned values; raise `redis.RedisError`."""
    client = redis_client.connection()
    for pattern in (frame_key("*"), value_key("*")):
        for key in client.scan_iter(match=pattern, count=1000):
            client.unlink(key)


FRAME_FIELDS = ("version", "data", "fingerprint")


def frame_of(stream: str, fields: Sequence[str | None]) -> Frame | None:
    """Return the frame with the kept FRAME_FIELDS, or None when no frame is kept."""
    version, data, fingerprint = fields
    if version is None or data is None:
        return None
    return Frame(stream=stream, version=int(version), data=data or None, fingerprint=fingerprint or "")


# The steps of a flush; all raise `redis.RedisError` -----------------------------------------------------
def marks_take(*, limit: int) -> list[Mark]:
    """Return the streams marked longest ago, at most `limit`, and let the next mark enqueue a flush.

    First it records that no flush is queued, then it reads. So each mark that comes after the reading enqueues one.
    """
    pipeline = redis_client.connection().pipeline(transaction=True)
    pipeline.delete(FLUSH_QUEUED)
    pipeline.zrange(MARKED, 0, limit - 1, withscores=True)
    members = cast("list[tuple[str, float]]", pipeline.execute()[1])
    return [Mark(stream=stream, number=int(score)) for stream, score in members]


def frames_store(frames: Sequence[Frame]) -> list[str]:
    """Keep frames, all of one version, unless newer ones are kept; return "new", "same" or "older" for each."""
    if not frames:
        return []
    keys = [frame_key(frame.stream) for frame in frames]
    args: list[str | int] = [frames[0].version, KEPT_SECONDS, TOMBSTONE_SECONDS]
    for frame in frames:
        args += [frame.data or "", frame.fingerprint]
    return cast("list[str]", run(STORE_FRAMES, keys=keys, args=args))


def marks_finish(marks: Iterable[Mark], *, version: int) -> None:
    """Record the frames of this version as sent, and remove those marks that are still their stream's latest."""
    done = list(marks)
    if done:
        keys = [MARKED, *(frame_key(mark.stream) for mark in done)]
        args: list[str | int] = [version]
        for mark in done:
            args += [mark.stream, mark.number]
        run(FINISH, keys=keys, args=args)


def unwatched_forget(marks: Sequence[Mark], *, version: int) -> set[str]:
    """Forget the frames and marks of those streams that no hub has joined; return these streams.

    A hub that joins afterwards finds no frame, and marks the stream.
    """
    keys = [MARKED, *(frame_key(mark.stream) for mark in marks)]
    args: list[str | int] = [version, KEPT_SECONDS]
    for mark in marks:
        args += [mark.stream, mark.number, GROUP + mark.stream]
    return set(cast("list[str]", run(FORGET_UNWATCHED, keys=keys, args=args)))


def intervals_begin(seconds: Mapping[str, float]) -> set[str]:
    """Begin an interval for each stream whose last interval is over, and return these streams.

    `seconds` has the length of the interval by stream.
    """
    if not seconds:
        return set()
    pipeline = redis_client.connection().pipeline(transaction=False)
    for stream, pause in seconds.items():
        pipeline.set(f"live:turn:{stream}", "1", nx=True, px=int(pause * 1000))
    return {stream for stream, taken in zip(seconds, pipeline.execute(), strict=True) if taken}


def flushed_note() -> None:
    """Record that a flush has succeeded. The hubs see it for FLUSHED_SECONDS."""
    redis_client.connection().set(FLUSHED, "1", ex=FLUSHED_SECONDS)


def marks_put_back(streams: Sequence[str]) -> None:
    """Mark the streams again, behind all others, so that a stream that fails repeatedly delays no other stream."""
    if streams:
        run(PUT_BACK, keys=[MARKED, MARK_NUMBER], args=list(streams))
