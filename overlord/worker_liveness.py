"""What is ours in Celery's workers and in beat: they show that they do not hang (see overlord/liveness.py).

Beat sends its messages as the rest of the application does.
"""

from typing import Any

from celery import Celery, bootsteps
from celery.beat import ScheduleEntry, Scheduler

from overlord.kernel import queues
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
    producer = None  # Celery would open a connection for it

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Return when to look again, as it is. Celery looks 10 ms early, then again and again until it is time."""
        return n

    def tick(self, *args: Any, **kwargs: Any) -> float:
        touch()
        interval: float = super().tick(*args, **kwargs)
        return interval

    def apply_async(self, entry: ScheduleEntry, **_kwargs: Any) -> None:
        """Put the task of an entry on its queue. One that cannot be sent is left out: the next makes up for it."""
        queues.enqueue(entry.task, queue=entry.options["queue"], expires=entry.options["expires"])


def install(app: Celery) -> None:
    """Make the workers of the Celery application show that they are alive."""
    app.steps["consumer"].add(WorkerLiveness)
