"""Work that Celery does for accounts."""

from celery import shared_task
from django.conf import settings

from overlord.accounts import services
from overlord.kernel import clock


@shared_task(name="accounts.password_reset_send")
def password_reset_send(*, user_id: int, **_kwargs: object) -> None:
    """Send one link to a new password. A user who gets no mail can ask again."""
    services.password_reset_send(user_id=user_id, base_url=settings.BASE_URL)


@shared_task(name="accounts.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete sessions and tokens that have ended, and old guests without reservations."""
    now = clock.now()
    return services.rows_prune(now=now, guests_before=now - settings.RETENTION)
