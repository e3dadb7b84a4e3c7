"""Work that Celery does for paying. Each message carries one id."""

from celery import shared_task

from checkout import services
from overlord.kernel.queues import Queue

# Within a lease, so that no worker still asks the gateway when another may take the payment up.
SOFT_LIMIT, HARD_LIMIT = 20, 25


@shared_task(
    name="checkout.payment_process", queue=Queue.PAYMENTS, soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT
)
def payment_process(*, payment_id: int, **_kwargs: object) -> None:
    """Will bring one payment to its outcome."""
    services.payment_process(payment_id=payment_id)


@shared_task(
    name="checkout.refund_process", queue=Queue.PAYMENTS, soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT
)
def refund_process(*, refund_id: int, **_kwargs: object) -> None:
    """Will bring one refund to its outcome."""
    services.refund_process(refund_id=refund_id)


@shared_task(name="checkout.look_after", queue=Queue.EXPIRY)
def look_after(**_kwargs: object) -> None:
    """Will bring up again what was lost or waits to be asked about."""
    services.look_after()


@shared_task(name="checkout.receipts_send", queue=Queue.MAIL)
def receipts_send(**_kwargs: object) -> None:
    """Will send the receipts that are due."""
    services.receipts_send()
