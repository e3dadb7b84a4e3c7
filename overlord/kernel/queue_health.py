"""Tell whether workers take the tasks of each queue, and how long its messages wait.

Every message contains the time at which it was sent. When a worker begins a task, it records in Redis how long the
message had waited, at most once a second for each queue. Beat sends an empty task to each queue every few seconds,
so that an idle queue has a record too. `/readyz` and the monitor read the records, which are lost with Redis.

Runs in the threads of workers, and of all processes that send messages or read the records.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any

from overlord.kernel import redis_client, steps
from overlord.kernel.queues import Queue

PROBE_TASK = "overlord.queue_probe"
PROBE_SECONDS = 3  # between two probes of a queue
SILENT_SECONDS = 10  # if no task began for this long, no worker takes the tasks of the queue
KEPT_SECONDS = 86_400

_last_record: dict[str, float] = {}


def message_stamp(headers: dict[str, Any]) -> None:
    """Write the current time and the request's id into the headers of a message that Celery itself sends.

    `queues.message` writes the same into the messages of `enqueue`.
    """
    headers["sent_at"] = time.time()
    if request_id := steps.request_id():
        headers[steps.REQUEST_ID] = request_id


def task_record(*, queue: str, sent_at: float | None) -> None:
    """Record that a task of the queue begins now. Raise RedisError."""
    now = time.monotonic()
    if now - _last_record.get(queue, 0.0) < 1:
        return
    _last_record[queue] = now
    waited = max(0.0, time.time() - sent_at) if sent_at else 0.0
    redis_client.connection().set(_key(queue), f"{waited:.3f}", ex=KEPT_SECONDS)


def waits(queues: Collection[Queue] = tuple(Queue)) -> dict[Queue, float | None]:
    """Return for each queue how many seconds its messages wait; None for a queue without a record.

    The value is how long the last message had waited. But if no task has begun within SILENT_SECONDS, it is the
    time since the last task began. Raise RedisError.
    """
    records = _records(queues)
    return {
        queue: None if record is None else (age if (age := record[0]) > SILENT_SECONDS else record[1])
        for queue, record in records.items()
    }


def silent_queues(queues: Collection[Queue]) -> list[Queue]:
    """Return the queues of which no task began within the last SILENT_SECONDS. Raise RedisError."""
    return [queue for queue, record in _records(queues).items() if not record or record[0] > SILENT_SECONDS]


def _records(queues: Collection[Queue]) -> Mapping[Queue, tuple[float, float] | None]:
    """Return for each queue the age of its record and how long the message had waited, in seconds.

    A queue without a record has None. The age is computed from the record's remaining time to live, so that only
    the clock of Redis counts.
    """
    pipeline = redis_client.connection().pipeline(transaction=False)
    for queue in queues:
        pipeline.get(_key(queue))
        pipeline.pttl(_key(queue))
    answers = iter(pipeline.execute())
    found: dict[Queue, tuple[float, float] | None] = {}
    for queue, waited, left_ms in zip(queues, answers, answers, strict=True):
        found[queue] = None if waited is None else (KEPT_SECONDS - left_ms / 1000, float(waited))
    return found


def _key(queue: str) -> str:
    return f"queue_health:{queue}"
