"""Work that Celery does for stats. Runs in the upkeep worker; probes run in each."""

from celery import shared_task

from overlord.kernel import clock
from stats import services, system


@shared_task(name="stats.sample")
def sample(**_kwargs: object) -> None:
    """Read the counters and how the system works. Beat runs it each second."""
    services.sample(system=system.look(), now=clock.now())
