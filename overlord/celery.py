"""The Celery application: which processes work on what.

Queues: `payments` (prefork, for its time limits), `live` (broadcasts), `expiry` and `upkeep` (threads).
"""

import os

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

app = Celery("overlord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def _drop_broken_connections(**_kwargs: object) -> None:
    """Will forget a connection that PostgreSQL has closed: they are kept between tasks, so one lost
    backend would otherwise fail every later task of its thread."""
    close_old_connections()
