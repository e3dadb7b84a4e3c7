"""Work that Celery does for accounts."""

from celery import shared_task
from django.conf import settings

from overlord.accounts import services


@shared_task(name="accounts.password_reset_send")
def password_reset_send(*, user_id: int, **_kwargs: object) -> None:
    """Send one link to a new password. Whoever gets none asks again."""
    services.password_reset_send(user_id=user_id, base_url=settings.BASE_URL)
