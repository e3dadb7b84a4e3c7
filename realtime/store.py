"""What the live side keeps in Redis: marks on streams that changed, their latest frames, versioned values.

Each step is one Lua script, since each is a comparison and a write that nothing may come between. Losing
all of it loses nothing: frames and values are made again from PostgreSQL.
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
FLUSH_QUEUED = "live:flush-queued"  # there while a flush waits in its queue
QUEUED_SECONDS = 2
FLUSHED = "live:flushed"  # there while flushes get through
FLUSHED_SECONDS = 3
SUBSCRIBERS = "live:subscribers:"  # and a hub's name: how many sockets it has
GROUP = "asgi__group__"  # and a group's name: the channel on which channels_redis sends to it
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

# ARGV: seconds, then key, field, version, value of each entry.
WRITE_ENTRIES = (
    _KEEP_IF_NOT_OLDER
    + """
for i = 2, #ARGV, 4 do keep(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[1]) end
"""
)

# KEYS: dirty, marks, queued. ARGV: seconds, queued seconds, number of streams, the streams, entries as above.
MARK = (
    _KEEP_IF_NOT_OLDER
    + """
local streams = tonumber(ARGV[3])
for i = 4 + streams, #ARGV, 4 do keep(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[1]) end
if streams == 0 then return 0 end
local mark = redis.call('INCR', KEYS[2])
for i = 4, 3 + streams do redis.call('ZADD', KEYS[1], mark, ARGV[i]) end
if redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[2]) then return 1 end
return 0
"""
)

# KEYS: the frames. ARGV: version, seconds, tombstone seconds, then data ('' for a tombstone) and fingerprint of
# each. A frame that was kept but perhaps never sent is not "the same": it has to be sent again. It is replaced
# also where it is the same, so that a slower drain's older reading cannot overwrite it.
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

# KEYS: dirty, then the frames that were delivered. ARGV: version, then stream and mark of each.
FINISH = """
for i = 2, #KEYS do
  local stream, mark = ARGV[2 * i - 2], ARGV[2 * i - 1]
  if redis.call('HGET', KEYS[i], 'version') == ARGV[1] then redis.call('HSET', KEYS[i], 'sent', '1') end
  local latest = redis.call('ZSCORE', KEYS[1], stream)
  if latest and tonumber(latest) == tonumber(mark) then redis.call('ZREM', KEYS[1], stream) end
end
"""

# KEYS: dirty, then the frames. ARGV: version, seconds, then stream, mark and channel of each. What no hub hears
# loses its frame, and the mark that is dealt with by that; whoever comes next finds none, and has it made. The
# version stays, so that a slower drain cannot keep an older reading after all. A newer frame shows this change.
FORGET_UNHEARD = """
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

# KEYS: dirty, marks. ARGV: the streams, which go to the end of the line.
PUT_BACK = """
local mark = redis.call('INCR', KEYS[2])
for _, stream in ipairs(ARGV) do redis.call('ZADD', KEYS[1], mark, stream) end
"""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A stream's whole state. `data` is its JSON text; None is a tombstone: there is no such stream.

    Frames of one stream with equal fingerprints differ in nothing but what the clock alone moves.
    """

    stream: str
    version: int
    data: str | None
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A stream that changed, and the number of the latest notice of it."""

    stream: str
    number: int


class Breaker:
    """Keeps a process from waiting for a Redis that is away: after a failure it is not asked for `seconds`,
    and then by one caller at a time until it answers again."""

    def __init__(self, *, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._open_until: float | None = None

    def allows(self) -> bool:
        """Will say whether Redis may be asked now."""
        with self._lock:
            if self._open_until is None:
                return True
            if self._clock() < self._open_until:
                return False
            self._open_until = self._clock() + self._seconds  # this caller tries; the others keep off
            return True

    def failed(self) -> None:
        """Will keep Redis from being asked for a while."""
        with self._lock:
            self._open_until = self._clock() + self._seconds

    def succeeded(self) -> None:
        """Will let everybody ask again."""
        self._open_until = None


breaker = Breaker(seconds=1.0)


def guarded(ask: Callable[[], Result]) -> Result | None:
    """Will ask Redis through the breaker; None when it is away. Redis errors do not leave here."""
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
    """Will run a script in one round trip (three when Redis has not seen it); raises `redis.RedisError`."""
    return _registered(script)(keys=keys, args=args, client=redis_client.connection())


@lru_cache
def _registered(script: str) -> Script:
    return redis_client.connection().register_script(script)  # it hashes the text, each time


def frame_key(stream: str) -> str:
    """Will name the key under which a stream's latest frame is kept."""
    return f"frame:{stream}"


FRAME_FIELDS = ("version", "data", "fingerprint")


def frame_of(stream: str, fields: Sequence[str | None]) -> Frame | None:
    """Will make a frame of its kept FRAME_FIELDS; None when nothing is kept."""
    version, data, fingerprint = fields
    if version is None or data is None:
        return None
    return Frame(stream=stream, version=int(version), data=data or None, fingerprint=fingerprint or "")


# The drain's steps; all raise `redis.RedisError` --------------------------------------------------------
def marks_take(*, limit: int) -> list[Mark]:
    """Will let the next notice enqueue a drain, and give the streams marked longest ago, at most `limit`.

    In this order: what is marked after the reading finds no drain queued, and queues one.
    """
    pipeline = redis_client.connection().pipeline(transaction=True)
    pipeline.delete(FLUSH_QUEUED)
    pipeline.zrange(MARKED, 0, limit - 1, withscores=True)
    members = cast("list[tuple[str, float]]", pipeline.execute()[1])
    return [Mark(stream=stream, number=int(score)) for stream, score in members]


def frames_store(frames: Sequence[Frame]) -> list[str]:
    """Will keep frames of one version where no newer one is kept; says of each "new", "same" or "older"."""
    if not frames:
        return []
    keys = [frame_key(frame.stream) for frame in frames]
    args: list[str | int] = [frames[0].version, KEPT_SECONDS, TOMBSTONE_SECONDS]
    for frame in frames:
        args += [frame.data or "", frame.fingerprint]
    return cast("list[str]", run(STORE_FRAMES, keys=keys, args=args))


def marks_finish(marks: Iterable[Mark], *, version: int) -> None:
    """Will note the frames of this version as sent, and remove the marks that no newer notice replaced."""
    done = list(marks)
    if done:
        keys = [MARKED, *(frame_key(mark.stream) for mark in done)]
        args: list[str | int] = [version]
        for mark in done:
            args += [mark.stream, mark.number]
        run(FINISH, keys=keys, args=args)


def unheard_forget(marks: Sequence[Mark], *, version: int) -> set[str]:
    """Will forget the frames of marked streams that no hub listens to, and their marks, and name those streams.

    In one step: a hub that joins a group afterwards finds no frame, and asks for one.
    """
    keys = [MARKED, *(frame_key(mark.stream) for mark in marks)]
    args: list[str | int] = [version, KEPT_SECONDS]
    for mark in marks:
        args += [mark.stream, mark.number, GROUP + mark.stream]
    return set(cast("list[str]", run(FORGET_UNHEARD, keys=keys, args=args)))


def turns_take(seconds: Mapping[str, float]) -> set[str]:
    """Will name the streams whose last turn is longer ago than their seconds; their next turn begins now."""
    if not seconds:
        return set()
    pipeline = redis_client.connection().pipeline(transaction=False)
    for stream, pause in seconds.items():
        pipeline.set(f"live:turn:{stream}", "1", nx=True, px=int(pause * 1000))
    return {stream for stream, taken in zip(seconds, pipeline.execute(), strict=True) if taken}


def drained_note() -> None:
    """Will let the hubs know for a while that what is marked is being sent."""
    redis_client.connection().set(FLUSHED, "1", ex=FLUSHED_SECONDS)


def marks_put_back(streams: Sequence[str]) -> None:
    """Will mark the streams anew, behind all others, so that what fails again and again delays nobody."""
    if streams:
        run(PUT_BACK, keys=[MARKED, MARK_NUMBER], args=list(streams))
