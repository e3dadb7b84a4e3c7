"""Our extensions of Celery's workers and of beat: they show that they do not hang (see overlord/liveness.py).

Beat also sends its messages in the same way as the rest of the application (overlord/kernel/queues.py), and goes on
when its clock is set back.
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
        """Start to touch the file. Celery calls this after each connection to Redis, and ends the timer with it."""
        touch()
        consumer.timer.call_repeatedly(TOUCH_SECONDS, touch)


class BeatScheduler(Scheduler):
    """Beat's scheduler, which keeps its schedule in memory and touches the file of the process."""

    max_interval = 1  # seconds between two checks of the schedule
    producer = None  # Celery's own would open a connection
    _clock = 0.0  # how far the clock was ahead of one that nobody sets, at the last check

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Return the delay unchanged. Celery would shorten it by 10 ms, and then check often until it is over."""
        return n

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, and return when to look again. Begin anew after the clock was set back.

        Celery keeps by the clock when each task ran last. It would send none until the clock is there again.
        """
        touch()
        before, self._clock = self._clock, self.app.now().timestamp() - time.monotonic()
        if self._clock < before - SET_BACK_SECONDS:
            self._begin_anew()
        interval: float = super().tick(*args, **kwargs)
        return interval

    def _begin_anew(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now()
        self._heap = None  # Celery fills it again

    def apply_async(self, entry: ScheduleEntry, **_kwargs: Any) -> None:
        """Put the task of an entry on its queue. If it cannot be sent, drop it: the next one does its work."""
        queues.enqueue(entry.task, queue=entry.options["queue"], expires=entry.options["expires"])


def install(app: Celery) -> None:
    """Make the workers of the Celery application show that they are alive."""
    app.steps["consumer"].add(WorkerLiveness)
