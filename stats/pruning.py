"""Rows of stats that are deleted after a time. The figures of sales are columns of the inventories and stay."""

from datetime import datetime

from overlord.kernel.pruning import prune
from stats.models import Minute


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the minutes before `before`; return how many. The monitor shows only the last hour."""
    return {"minutes of the monitor": prune(lambda: Minute.objects.filter(minute__lt=before))}
