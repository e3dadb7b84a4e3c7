"""The queues of the Celery workers, the queue of each task, and `enqueue`, which any thread may call.

What must stay true: a message contains only ids, and may be lost. Tasks that beat enqueues find unfinished work
again in PostgreSQL.

Note [Messages without Celery]: `enqueue` writes the message that Celery would write, with one call to Redis.
Celery itself needs several times as much CPU time (docs/performance.md). A test compares the messages of both.
"""

import base64
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import uuid4

from redis import RedisError

from overlord.kernel import redis_client, steps

logger = logging.getLogger(__name__)

_PROTOCOL: dict[str, Any] = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "()",
    "origin": "overlord",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class Queue(StrEnum):
    """The queues. One kind of worker takes the tasks of each queue (overlord/celery.py)."""

    PAYMENTS = "payments"
    LIVE = "live"
    EXPIRY = "expiry"
    UPKEEP = "upkeep"
    MAIL = "mail"
    MAILINGS = "mailings"


# The queue of each task. Only the probe has none: it is enqueued on every queue (overlord/celery.py).
ROUTES = {
    "accounts.rows_prune": Queue.UPKEEP,
    "checkout.rows_prune": Queue.UPKEEP,
    "tickets.rows_prune": Queue.UPKEEP,
    "journal.rows_prune": Queue.UPKEEP,
    "line.rows_prune": Queue.UPKEEP,
    "stats.rows_prune": Queue.UPKEEP,
    "accounts.email_code_send": Queue.MAIL,
    "accounts.password_reset_send": Queue.MAIL,
    "accounts.invitation_send": Queue.MAIL,
    "accounts.second_factor_notice_send": Queue.MAIL,
    "checkout.payment_process": Queue.PAYMENTS,
    "checkout.charges_reconcile": Queue.UPKEEP,
    "checkout.refund_process": Queue.PAYMENTS,
    "checkout.refund_look_again": Queue.PAYMENTS,
    "checkout.unmatched_charge_refund": Queue.PAYMENTS,
    "checkout.cancellations_go_on": Queue.UPKEEP,
    "checkout.look_after": Queue.EXPIRY,
    "checkout.receipts_send": Queue.MAIL,
    "mailings.go_on": Queue.MAILINGS,
    "mailings.rows_prune": Queue.UPKEEP,
    "realtime.flush": Queue.LIVE,
    "stats.sample": Queue.UPKEEP,
    "line.serve": Queue.EXPIRY,
    "line.turn_notices_send": Queue.MAIL,
    "tickets.holds_expire": Queue.EXPIRY,
}


def enqueue(task: str, queue: str | None = None, /, *, expires: float | None = None, **ids: int) -> bool:
    """Put a task on its queue in ROUTES, or on `queue`; return False if the message could not be sent.

    If the message has waited longer than `expires` seconds, the worker drops it. Raise no error, and wait no
    longer than any other call of Redis does: callers have committed, and Redis must not stop them.
    """
    queue = queue or ROUTES[task]
    try:
        redis_client.broker().lpush(queue, message(task, queue=queue, expires=expires, ids=ids))
    except RedisError as error:
        logger.warning("%s was not sent and is left to beat: %s", task, error)
        return False
    return True


def queue_length(queue: Queue) -> int:
    """Return how many messages wait on a queue; 0 if Redis cannot be reached."""
    try:
        return int(redis_client.broker().llen(queue))
    except RedisError:
        return 0


def message(task: str, *, queue: str, expires: float | None, ids: dict[str, int]) -> str:
    """Return a message of Celery's protocol 2, as kombu writes it to Redis. See Note [Messages without Celery]."""
    task_id, request_id = str(uuid4()), steps.request_id()
    body = json.dumps([[], ids, _NO_CALLBACKS]).encode()
    ends = None if expires is None else datetime.now(UTC) + timedelta(seconds=expires)
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                **_PROTOCOL,
                "task": task,
                "id": task_id,
                "root_id": task_id,
                "expires": ends and ends.isoformat(),
                "kwargsrepr": repr(ids),
                "sent_at": time.time(),  # see overlord/kernel/queue_health.py
                **({} if request_id is None else {steps.REQUEST_ID: request_id}),
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": _reply_to(),
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
                **({} if expires is None else {"expiration": str(int(expires * 1000))}),
            },
        }
    )


@lru_cache(maxsize=1)
def _reply_to() -> str:
    return str(uuid4())  # nobody replies
