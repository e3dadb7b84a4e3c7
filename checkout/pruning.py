"""Rows of checkout that are deleted after a time. Payments, refunds, receipts and incidents are kept."""

from datetime import datetime

from checkout.gateways import ledger
from checkout.models import PaymentStep, WebhookEvent
from overlord.kernel.pruning import prune


def rows_prune(*, before: datetime, steps_before: datetime) -> dict[str, int]:
    """Delete messages of gateways and records of the sandbox before `before`, and steps before `steps_before`.

    Return how many rows of each sort were deleted. A gateway repeats a message for some days at most, and nobody
    repeats a request to the sandbox after that.
    """
    with ledger.opened() as book:
        sandbox = book.prune(before=before)
    return {
        "webhook events": prune(lambda: WebhookEvent.objects.filter(received__lt=before)),
        "steps of payments": prune(lambda: PaymentStep.objects.filter(at__lt=steps_before)),
        "entries in the sandbox's ledger": sandbox,
    }
