"""Rows of lines that are deleted after a time. Tickets that a line gave stay."""

from datetime import datetime

from overlord.kernel.pruning import prune
from tickets.line.models import Entry, Line


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the lines of events that began before `before`, with their entries; return how many of each.

    The proof of a line's draw can be checked until the line is deleted.
    """
    return {
        "entries in lines": prune(lambda: Entry.objects.filter(line__event__date__lt=before)),
        "lines": prune(lambda: Line.objects.filter(event__date__lt=before)),
    }
