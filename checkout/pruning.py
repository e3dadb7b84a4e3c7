"""Delete old rows of checkout, each night, but no payments, refunds, receipts or incidents."""

from datetime import datetime

from checkout.gateways import ledger
from checkout.models import PaymentStep, WebhookEvent
from overlord.kernel.pruning import prune


def rows_prune(*, before: datetime, steps_before: datetime) -> dict[str, int]:
    """Delete messages of gateways and records of the sandbox made before `before`, and steps before `steps_before`.

    Return how many rows of each sort were deleted. Old messages and records are not needed: a gateway repeats a
    message, and a worker repeats a request to the sandbox, for some days at most.
    """
    with ledger.opened() as book:
        sandbox = book.prune(before=before)
    return {
        "webhook events": prune(lambda: WebhookEvent.objects.filter(received__lt=before)),
        "steps of payments": prune(lambda: PaymentStep.objects.filter(at__lt=steps_before)),
        "entries in the sandbox's ledger": sandbox,
    }
