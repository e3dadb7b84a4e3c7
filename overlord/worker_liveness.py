"""Show that a Celery worker, or beat, does not hang: see overlord/liveness.py."""

from typing import Any

from celery import Celery, bootsteps
from celery.beat import Scheduler

from overlord.liveness import TOUCH_SECONDS, touch


class WorkerLiveness(bootsteps.StartStopStep):
    """Touches the file of a worker, from when it has subscribed to its queues."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def start(self, consumer: Any) -> None:
        """Start touching. Celery calls this after each connection to Redis, and ends the timer with it."""
        touch()
        consumer.timer.call_repeatedly(TOUCH_SECONDS, touch)


class BeatScheduler(Scheduler):
    """Beat's scheduler in memory, which touches the file of the process."""

    max_interval = 1  # seconds between two looks at the schedule

    def tick(self, *args: Any, **kwargs: Any) -> float:
        touch()
        interval: float = super().tick(*args, **kwargs)
        return interval


def install(app: Celery) -> None:
    """Make the workers of the Celery application show that they are alive."""
    app.steps["consumer"].add(WorkerLiveness)
