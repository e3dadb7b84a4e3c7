"""Rows of reservations that are deleted after a time. The counters of inventories stay, and so do all figures."""

from datetime import datetime

from django.db.models import Q

from overlord.kernel.pruning import prune, unreferenced
from tickets.models import Reservation
from tickets.rules import ENDED_STATES


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete holds that ended before `before` and that nobody began to pay for; return {what: how many}."""
    ended = Q(state__in=ENDED_STATES, ended_at__lt=before, validated_at=None)
    return {"holds that were never paid": prune(lambda: unreferenced(Reservation.objects.filter(ended)))}
