"""The Celery application: which processes work on what.

Queues: `payments` (prefork, for its time limits), `live` (broadcasts), `expiry`, `upkeep` and `mail` (threads).
"""

import os
import time
from typing import Any

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

from overlord.alive import offer_sign_of_life

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

app = Celery("overlord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["realtime.worker"])
offer_sign_of_life(app)

SEEN_FOR = 10  # seconds without any task after which /readyz counts a queue as silent
_last_said: dict[str, float] = {}


@app.task(name="overlord.breathe")
def breathe(**_kwargs: object) -> None:
    """Will do nothing, so that a queue without other work is seen to be worked on."""


@task_prerun.connect
def _drop_broken_connections(**_kwargs: object) -> None:
    """Will forget a connection that PostgreSQL has closed: they are kept between tasks, so one lost
    backend would otherwise fail every later task of its thread."""
    close_old_connections()


@task_prerun.connect
def _say_that_we_work(task: Any, **_kwargs: object) -> None:
    """Will leave a trace, once a second at the most, for /readyz to tell that the queue is worked on."""
    from redis import RedisError

    from overlord.kernel import redis_client

    queue = (task.request.delivery_info or {}).get("routing_key", "")
    now = time.monotonic()
    if now - _last_said.get(queue, 0.0) < 1:
        return
    _last_said[queue] = now
    try:
        redis_client.connection().set(f"worked:{queue}", 1, ex=SEEN_FOR)
    except RedisError:
        return  # then /readyz says that Redis is missing
