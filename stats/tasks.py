"""Work that Celery does for stats. Runs in the upkeep worker; probes run in each."""

from celery import shared_task

from overlord.kernel import clock
from overlord.kernel.queues import Queue
from stats import services, system


@shared_task(name="stats.sample", queue=Queue.UPKEEP)
def sample(**_kwargs: object) -> None:
    """Read the counters and how the system works. Beat runs it each second."""
    services.sample(system=system.look(), now=clock.now())
