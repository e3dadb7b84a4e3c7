"""Tell which queues are worked on, and how long messages wait in each.

Every message carries when it was sent. A worker records in Redis, at most once a second for each queue, that it
began a task and how long its message had waited. Beat sends an empty task to each queue every few seconds, so that
an idle queue is recorded too. `/readyz` and the monitor read the records. They are lost with Redis.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any

from overlord.kernel import redis_client, steps
from overlord.kernel.queues import Queue

PROBE_TASK = "overlord.queue_probe"
PROBE_SECONDS = 3  # between two probes of a queue
SILENT_SECONDS = 10  # without any task; then nobody works on the queue
KEPT_SECONDS = 86_400

_last_record: dict[str, float] = {}


def message_stamp(headers: dict[str, Any]) -> None:
    """Write into a message's headers when it is sent."""
    headers["sent_at"] = time.time()
    if request_id := steps.request_id():
        headers[steps.REQUEST_ID] = request_id


def task_record(*, queue: str, sent_at: float | None) -> None:
    """Record that a task of the queue begins now. Raises RedisError."""
    now = time.monotonic()
    if now - _last_record.get(queue, 0.0) < 1:
        return
    _last_record[queue] = now
    waited = max(0.0, time.time() - sent_at) if sent_at else 0.0
    redis_client.connection().set(_key(queue), f"{waited:.3f}", ex=KEPT_SECONDS)


def waits(queues: Collection[Queue] = tuple(Queue)) -> dict[Queue, float | None]:
    """Return for how many seconds messages of each queue wait, or None where no task was ever recorded.

    That is how long the last message had waited, or, once the queue is silent, how long it has been. Raises
    RedisError.
    """
    records = _records(queues)
    return {
        queue: None if record is None else (age if (age := record[0]) > SILENT_SECONDS else record[1])
        for queue, record in records.items()
    }


def silent_queues(queues: Collection[Queue]) -> list[Queue]:
    """Return the queues of which no task began within the last SILENT_SECONDS. Raises RedisError."""
    return [queue for queue, record in _records(queues).items() if not record or record[0] > SILENT_SECONDS]


def _records(queues: Collection[Queue]) -> Mapping[Queue, tuple[float, float] | None]:
    """Return for each queue how old its record is and how long the message had waited, in seconds.

    The age follows from what is left of the record's time to live: all of it is by the clock of Redis.
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
