"""Delete old holds that nobody paid, each night. The counters of inventories stay, and so do all figures.

Mails about a move that were not needed are deleted too, so that a guest who bought nothing can be deleted.
"""

from datetime import datetime

from django.db.models import Q

from overlord.kernel.pruning import prune, unreferenced
from tickets.models import MoveNotice, Reservation
from tickets.rules import ENDED_STATES


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete unneeded mails about moves, and holds that ended before `before`; return {what: how many}.

    A hold stays if another row refers to it, such as a payment or a later reservation of its order.
    """
    ended = Q(state__in=ENDED_STATES, ended_at__lt=before, validated_at=None)
    return {
        "mails about moves that were not sent": prune(
            lambda: MoveNotice.objects.filter(next_look_at=None, sent_at=None)
        ),
        "holds that were never paid": prune(lambda: unreferenced(Reservation.objects.filter(ended))),
    }
