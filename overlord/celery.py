"""The Celery application of the workers and of beat.

All workers run tasks in threads: `payments`, `broadcasts` (queue `live`) and `upkeep` (all other queues). The
handlers of `task_prerun` and `task_postrun` run in the thread that runs the task.
"""

import contextlib
import os
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, task_postrun, task_prerun, worker_init
from django.conf import settings
from redis import RedisError

from overlord import worker_liveness
from overlord.kernel import database_check, queue_health, steps
from overlord.kernel.postgresql import base as postgresql

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

app = Celery("overlord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["realtime.worker"])
worker_liveness.install(app)

CONNECTION_PATIENCE = 30.0  # seconds; the longest wait for a connection. A task uses one for milliseconds


@app.task(name=queue_health.PROBE_TASK)
def queue_probe(**_kwargs: object) -> None:
    """Do nothing. Beat enqueues this task on each queue, so that an idle queue does not look stuck."""


@before_task_publish.connect
def _stamp_message(headers: dict[str, Any], **_kwargs: object) -> None:
    queue_health.message_stamp(headers)


@worker_init.connect
def _share_connections(**_kwargs: object) -> None:
    """Let the worker's threads share a few connections, because a worker can have hundreds of threads.

    Celery closes a thread's connection before and after each task. Closing a shared one returns it to the pool.
    """
    postgresql.share(most=settings.WORKER_CONNECTIONS, seconds=CONNECTION_PATIENCE)


@worker_init.connect
def _check_database(**_kwargs: object) -> None:
    database_check.start()


@task_prerun.connect
def _record_queue(task: Any, **_kwargs: object) -> None:
    queue = (task.request.delivery_info or {}).get("routing_key", "")
    with contextlib.suppress(RedisError):  # /readyz says that Redis is missing
        queue_health.task_record(queue=queue, sent_at=getattr(task.request, "sent_at", None))


@task_prerun.connect
def _begin_step(task: Any, **_kwargs: object) -> None:
    steps.request_begin(getattr(task.request, steps.REQUEST_ID, None))


@task_postrun.connect
def _end_step(**_kwargs: object) -> None:
    steps.request_end()
