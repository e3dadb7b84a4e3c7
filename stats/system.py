"""How the system is, as Redis knows it: who watches, and how long work waits. Lost with Redis, and no loss."""

import time
from typing import Any

from redis import RedisError

from overlord.kernel import redis_client
from overlord.kernel.queues import Queue, enqueue

PROBES = "stats:probes"  # hash: queue -> when the last probe it worked on was sent, and when it was worked on
PROBE_EVERY = 5.0  # seconds
VIEWERS = "live:subscribers:*"

_last_probe = 0.0


def probe() -> None:
    """Will send each queue a message that says when it was sent, every five seconds; never raises."""
    global _last_probe
    now = time.time()
    if now - _last_probe >= PROBE_EVERY:
        _last_probe = now
        for queue in Queue:
            enqueue("stats.probed", queue=queue, expires=60, sent_ms=int(now * 1000))


def probed(*, queue: str, sent_ms: int) -> None:
    """Will note how long a probe has waited in `queue`."""
    done_ms = int(time.time() * 1000)
    try:
        redis_client.connection().hset(PROBES, queue, f"{sent_ms} {done_ms}")
    except RedisError:
        return  # then nobody knows, and the monitor says so


def look() -> dict[str, Any]:
    """Will read who watches and how long work waits: `viewers` and `queue_seconds` (the slowest queue), null
    where nobody knows; `queued` counts the messages that wait, by queue."""
    try:
        redis = redis_client.connection()
        pipeline = redis.pipeline(transaction=False)
        pipeline.hgetall(PROBES)
        for queue in Queue:
            pipeline.llen(queue)
        probes, *lengths = pipeline.execute()
        viewers = _viewers()
    except RedisError:
        return {"redis": False, "viewers": None, "queue_seconds": None, "queued": {}}
    return {
        "redis": True,
        "viewers": viewers,
        "queue_seconds": _slowest(probes),
        "queued": dict(zip(Queue, lengths, strict=True)),
    }


def _slowest(probes: dict[str, str]) -> float | None:
    """The longest wait: of the last probe, or of one that is overdue and still waits."""
    now_ms = time.time() * 1000
    waits = []
    for times in probes.values():
        sent_ms, done_ms = (int(part) for part in times.split())
        overdue = now_ms - sent_ms - 2 * PROBE_EVERY * 1000
        waits.append(max(done_ms - sent_ms, overdue) / 1000)
    return round(max(waits), 2) if waits else None


def _viewers() -> int | None:
    """Each live process says how many sockets it has; none did: nobody knows."""
    redis = redis_client.connection()
    keys = list(redis.scan_iter(VIEWERS, count=1000))
    counts = redis.mget(keys) if keys else []
    return sum(int(count) for count in counts if count is not None) if keys else None
