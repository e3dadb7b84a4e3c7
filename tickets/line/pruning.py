"""Rows of lines that are deleted after a time. Tickets that a line gave stay."""

from datetime import datetime

from overlord.kernel.pruning import prune
from tickets.line.models import Entry, Line


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the lines of events that began before then, with their entries, and count both.

    A line's proof can be checked until then.
    """
    return {
        "entries in lines": prune(lambda: Entry.objects.filter(line__event__date__lt=before)),
        "lines": prune(lambda: Line.objects.filter(event__date__lt=before)),
    }
