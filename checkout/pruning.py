"""Rows of checkout that are deleted after a time. Payments, refunds, receipts and incidents are kept."""

from datetime import datetime

from checkout.gateways import ledger
from checkout.models import PaymentStep, WebhookEvent
from overlord.kernel.pruning import prune


def rows_prune(*, before: datetime, steps_before: datetime) -> dict[str, int]:
    """Delete gateways' messages from before then and steps of payments from before `steps_before`, and count them.

    A gateway repeats a message for days at most, and nobody repeats a request to the sandbox for longer.
    """
    with ledger.opened() as book:
        sandbox = book.prune(before=before)
    return {
        "webhook events": prune(lambda: WebhookEvent.objects.filter(received__lt=before)),
        "steps of payments": prune(lambda: PaymentStep.objects.filter(at__lt=steps_before)),
        "entries in the sandbox's ledger": sandbox,
    }
