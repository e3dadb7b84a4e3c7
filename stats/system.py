"""Read from Redis how the system works: how many sockets are open, and how long messages wait."""

from typing import Any

from redis import RedisError

from overlord.kernel import queue_health, redis_client
from overlord.kernel.queues import Queue
from realtime import sockets


def state() -> dict[str, Any]:
    """Return a dict of the system's state now.

    `redis` tells whether Redis answers and takes writes. `viewers` is the number of open sockets, `queue_seconds`
    the longest wait of a queue; both are None while unknown. `queued` is the number of waiting messages by queue.
    """
    try:
        redis_client.writes_require()
        pipeline = redis_client.broker().pipeline(transaction=False)
        for queue in Queue:
            pipeline.llen(queue)
        lengths = pipeline.execute()
        waits = [seconds for seconds in queue_health.waits().values() if seconds is not None]
        viewers = sockets.opened()
    except RedisError:
        return {"redis": False, "viewers": None, "queue_seconds": None, "queued": {}}
    return {
        "redis": True,
        "viewers": viewers,
        "queue_seconds": round(max(waits), 2) if waits else None,
        "queued": dict(zip(Queue, lengths, strict=True)),
    }
