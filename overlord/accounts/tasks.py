"""The tasks of accounts: mails, and the nightly deletion of old rows. Run by the upkeep worker (Celery)."""

from celery import shared_task
from django.conf import settings

from overlord.accounts import second_factor_services, services, staff_services
from overlord.kernel import clock


@shared_task(name="accounts.password_reset_send")
def password_reset_send(*, user_id: int, **_kwargs: object) -> None:
    """Mail a link to choose a new password. A user who gets no mail can ask again."""
    services.password_reset_send(user_id=user_id, base_url=settings.BASE_URL)


@shared_task(name="accounts.invitation_send")
def invitation_send(*, invitation_id: int, **_kwargs: object) -> None:
    """Send the mail of one invitation. Staff see whether it was sent, and can send it again."""
    staff_services.invitation_send(invitation_id=invitation_id, base_url=settings.BASE_URL, now=clock.now())


@shared_task(name="accounts.second_factor_notice_send")
def second_factor_notice_send(*, user_id: int, **_kwargs: object) -> None:
    """Tell a member of staff by mail that their account has a second factor now.

    A mail that is lost is not sent again.
    """
    second_factor_services.notice_send(user_id=user_id, base_url=settings.BASE_URL)


@shared_task(name="accounts.email_code_send")
def email_code_send(*, user_id: int, **_kwargs: object) -> None:
    """Mail a guest the latest code that proves an e-mail address. A guest who gets no mail can ask again."""
    services.email_code_send(user_id=user_id, now=clock.now())


@shared_task(name="accounts.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete ended sessions and tokens, old invitations and codes, and old guests without reservations."""
    now = clock.now()
    return services.rows_prune(now=now, before=now - settings.RETENTION)
