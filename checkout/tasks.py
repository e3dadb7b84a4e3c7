"""The tasks of checkout, in the payments and upkeep workers. Their arguments are only ids."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from checkout import pruning, selectors, services
from overlord.kernel import clock

REFUNDS_COMPARED = timedelta(days=40)  # a buyer's bank may take a month to refuse the money


@shared_task(name="checkout.payment_process")
def payment_process(*, payment_id: int, **_kwargs: object) -> None:
    """Bring one payment to its outcome."""
    services.payment_process(payment_id=payment_id)


@shared_task(name="checkout.refund_process")
def refund_process(*, refund_id: int, **_kwargs: object) -> None:
    """Bring one refund to its outcome."""
    services.refund_process(refund_id=refund_id)


@shared_task(name="checkout.refund_look_again")
def refund_look_again(*, refund_id: int, **_kwargs: object) -> None:
    """Check whether a refund that has succeeded has failed since."""
    services.refund_look_again(refund_id=refund_id)


@shared_task(name="checkout.unmatched_charge_refund")
def unmatched_charge_refund(*, charge_id: int, staff_id: int | None = None, **_kwargs: object) -> None:
    """Pay back one charge without a payment."""
    services.unmatched_charge_refund(staff_id=staff_id, charge_id=charge_id)


@shared_task(name="checkout.look_after")
def look_after(**_kwargs: object) -> None:
    """Hand payments, refunds and mails to the workers again, when their next look is due."""
    services.look_after()


@shared_task(name="checkout.cancellations_go_on")
def cancellations_go_on(**_kwargs: object) -> None:
    """Go on with cancelled events: find their paid orders, revoke tickets, and start refunds."""
    services.cancellations_go_on()


@shared_task(name="checkout.receipts_send")  # the name that workers of the former release know
def mails_send(**_kwargs: object) -> None:
    """Send the mails to buyers and holders that are due."""
    services.mails_send()


@shared_task(name="checkout.charges_reconcile")
def charges_reconcile(**_kwargs: object) -> None:
    """Find charges without a payment, and refunds that failed after they had succeeded."""
    now = clock.now()
    services.charges_reconcile(gateway=settings.PAYMENT_GATEWAY, since=selectors.charges_since(now=now))
    services.refunds_compare(gateway=settings.PAYMENT_GATEWAY, since=now - REFUNDS_COMPARED)


@shared_task(name="checkout.rows_prune")
def rows_prune(**_kwargs: object) -> dict[str, int]:
    """Delete old messages of gateways, steps of payments and records of the sandbox, and forget guests.

    The guests are those who bought nothing. Return {what: how many}.
    """
    now = clock.now()
    before = now - settings.RETENTION
    return {
        **pruning.rows_prune(before=before, steps_before=now - settings.STEPS_RETENTION),
        "contacts of guests who bought nothing": services.guests_forget(before=before),
    }
