"""Rows of lines that are deleted after a time. Tickets that a line gave stay."""

from datetime import datetime

from django.db.models import Exists, OuterRef

from overlord.kernel.pruning import prune
from tickets.line.models import Entry, Line
from tickets.models import Inventory


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the lines of events that began before `before` and whose sales ended before it, with their entries.

    Return how many of each. The proof of a line's draw can be checked until the line is deleted.
    """
    selling = Exists(Inventory.objects.filter(ticket_type__event=OuterRef("event"), closes_at__gte=before))
    over = Line.objects.filter(~selling, event__date__lt=before)
    return {
        "entries in lines": prune(lambda: Entry.objects.filter(line__in=over)),
        "lines": prune(lambda: over.all()),
    }
