"""What of stats is not kept for ever. The figures of sales stand beside the inventories and stay."""

from datetime import datetime

from overlord.kernel.pruning import prune
from stats.models import Minute


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the minutes before then and count them. The monitor shows the last hour."""
    return {"minutes of the monitor": prune(lambda: Minute.objects.filter(minute__lt=before))}
