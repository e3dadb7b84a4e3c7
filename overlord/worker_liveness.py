"""Our extensions of Celery's workers and of beat, which show that they do not hang (see overlord/liveness.py).

Beat also sends messages as the rest of the application does (overlord/kernel/queues.py), and continues when
somebody sets the clock back. This code runs in the main thread of a worker or of beat.
"""

import time
from typing import Any

from celery import Celery, bootsteps
from celery.beat import ScheduleEntry, Scheduler

from overlord.kernel import queues
from overlord.liveness import TOUCH_SECONDS, touch

SET_BACK_SECONDS = 0.5  # NTP slows a clock by less between two checks of the schedule


class WorkerLiveness(bootsteps.StartStopStep):
    """Touches the file of a worker, as soon as it has subscribed to its queues."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def start(self, consumer: Any) -> None:
        """Begin to touch the file. Celery calls this after each connection to Redis.

        When the connection is lost, Celery stops this timer.
        """
        touch()
        consumer.timer.call_repeatedly(TOUCH_SECONDS, touch)


class BeatScheduler(Scheduler):
    """Beat's scheduler, which keeps its schedule in memory and touches the file of the process."""

    max_interval = 1  # seconds between two checks of the schedule
    producer = None  # Celery's own producer would open a connection
    _clock = 0.0  # the clock minus the monotonic clock, at the last check

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Return the delay unchanged. Celery would shorten it by 10 ms, and then check many times until its end."""
        return n

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send the tasks that are due; return the seconds until the next check.

        Celery keeps the time at which it last sent each task. After the clock was set back, it would send no task
        until the clock reaches this time again. So then all these times are set to now.
        """
        touch()
        before, self._clock = self._clock, self.app.now().timestamp() - time.monotonic()
        if self._clock < before - SET_BACK_SECONDS:
            self._set_all_to_now()
        interval: float = super().tick(*args, **kwargs)
        return interval

    def _set_all_to_now(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now()
        self._heap = None  # Celery fills it again

    def apply_async(self, entry: ScheduleEntry, **_kwargs: Any) -> None:
        """Put the task of an entry on its queue. If that fails, drop it: the next such task does the same work."""
        queues.enqueue(entry.task, entry.options["queue"], expires=entry.options["expires"])


def install(app: Celery) -> None:
    """Let the workers of a Celery application show that they do not hang."""
    app.steps["consumer"].add(WorkerLiveness)
