"""Work that Celery does for paying."""

from celery import shared_task

from checkout import services

# Within the lease of a payment, so that no worker still asks the gateway when another may take it up.
SOFT_LIMIT, HARD_LIMIT = 20, 25


@shared_task(
    name="checkout.payment_process", queue="payments", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT
)
def payment_process(*, payment_id: int, **_kwargs: object) -> None:
    """Will bring one payment to its outcome."""
    services.payment_process(payment_id=payment_id)


@shared_task(name="checkout.payments_resume", queue="expiry")
def payments_resume(**_kwargs: object) -> None:
    """Will bring up again what was lost."""
    services.payments_resume()
