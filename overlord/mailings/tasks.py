"""Work that Celery does for messages to buyers. Runs in the upkeep worker, from a queue of its own."""

from celery import shared_task
from django.conf import settings

from overlord.kernel import clock
from overlord.mailings import services


@shared_task(name="mailings.go_on")
def go_on(**_kwargs: object) -> None:
    """Send the mails that are due, at the stated pace."""
    services.mailings_go_on()


@shared_task(name="mailings.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete the recipients of old messages."""
    return services.rows_prune(before=clock.now() - settings.RETENTION)
