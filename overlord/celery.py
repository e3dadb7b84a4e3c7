"""The Celery application of workers, of beat, and of every process that puts a task on a queue.

Workers: `payments` (prefork, for its time limits), `broadcasts` (queue `live`) and `upkeep` (queues `expiry`,
`upkeep` and `mail`), both with threads. The signal handlers below run in the thread or process that runs the task.
"""

import contextlib
import os
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, task_prerun
from django.db import close_old_connections
from redis import RedisError

from overlord import liveness
from overlord.kernel import queue_health

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

app = Celery("overlord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["realtime.worker"])
liveness.install(app)


@app.task(name=queue_health.PROBE_TASK)
def queue_probe(**_kwargs: object) -> None:
    """Do nothing. Beat puts it on each queue, so that an idle queue is recorded as worked on."""


@before_task_publish.connect
def _stamp_message(headers: dict[str, Any], **_kwargs: object) -> None:
    queue_health.message_stamp(headers)


@task_prerun.connect
def _close_lost_connections(**_kwargs: object) -> None:
    """Close a database connection that PostgreSQL has ended.

    Connections are kept between tasks, so a lost one would make every later task of its thread fail.
    """
    close_old_connections()


@task_prerun.connect
def _record_queue(task: Any, **_kwargs: object) -> None:
    queue = (task.request.delivery_info or {}).get("routing_key", "")
    with contextlib.suppress(RedisError):  # then /readyz says that Redis is missing
        queue_health.task_record(queue=queue, sent_at=getattr(task.request, "sent_at", None))
