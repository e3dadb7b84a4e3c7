"""The tasks of messages to buyers. Run by the upkeep worker (Celery); sending has a queue of its own."""

from celery import shared_task
from django.conf import settings

from overlord.kernel import clock
from overlord.mailings import services


@shared_task(name="mailings.go_on")
def go_on(**_kwargs: object) -> None:
    """Send the mails that are due, within the limit per minute."""
    services.mailings_go_on()


@shared_task(name="mailings.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete the mails of old messages, and old trials."""
    return services.rows_prune(before=clock.now() - settings.RETENTION)
