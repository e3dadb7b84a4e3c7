"""Work that Celery does for stats, in the upkeep worker."""

from celery import shared_task
from django.conf import settings

from overlord.kernel import clock
from stats import pruning, services, system


@shared_task(name="stats.sample")
def sample(**_kwargs: object) -> None:
    """Read the counters and the state of the system for the monitor. Beat enqueues this task each second."""
    services.sample(system=system.state(), now=clock.now())


@shared_task(name="stats.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete the monitor's minutes that are older than RETENTION; return how many. It shows only the last hour."""
    return pruning.rows_prune(before=clock.now() - settings.RETENTION)
