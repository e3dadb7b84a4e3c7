"""Work that Celery does for stats."""

from typing import Any

from celery import shared_task

from overlord.kernel import clock
from overlord.kernel.queues import Queue
from stats import services, system


@shared_task(name="stats.sample", queue=Queue.UPKEEP)
def sample(**_kwargs: object) -> None:
    """Will read the counters and how the system is. Beat runs it each second."""
    system.probe()
    services.sample(system=system.look(), now=clock.now())


@shared_task(name="stats.probed", bind=True)
def probed(self: Any, *, sent_ms: int, **_kwargs: object) -> None:
    """Will say how long this message has waited."""
    system.probed(queue=self.request.delivery_info["routing_key"], sent_ms=sent_ms)
