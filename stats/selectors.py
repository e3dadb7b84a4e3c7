"""Read the figures that the stats API, `/metrics` and `manage.py doctor` show.

Those of the stats API come from the counters of inventories.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from django.db.models import BigIntegerField, DecimalField, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from iso4217 import Currency

from overlord.kernel import db, money
from stats import sql
from tickets.models import Event, Inventory

DOUBTFUL_AFTER = timedelta(seconds=10)  # a payment that takes longer is in doubt
MOST_COUNTED = 100_000  # a count of rows stops here
TOP = 5
LOOKED_AT = 50  # how many of the highest ranks are read: more than TOP, as stored ranks can be out of date
MOST_DIGITS = 4  # the most decimals that any currency has


class Ranking(StrEnum):
    """A figure by which events are ranked."""

    RESERVATIONS = "reservation_amount"
    SOLD = "sold_amount"
    PROFIT = "profit"


RANKS = {Ranking.RESERVATIONS: "reservations", Ranking.SOLD: "sold", Ranking.PROFIT: "profit"}

# Only staff who edit events see these ticket types: those of drafts, and hidden ones that were never reserved.
UNSEEN = Q(ticket_type__event__status=Event.Status.DRAFT) | Q(ticket_type__hidden=True, reservations=0)

# Sums of revenue are wider than a bigint.
MINOR = DecimalField(max_digits=40, decimal_places=0)


def sale_figures(*, now: datetime) -> dict[str, Any]:
    """Return the figures of all sales and of the database that `/metrics` and `manage.py doctor` show."""
    [row] = db.rows(sql.METRICS, {"now": now, "doubtful_since": now - DOUBTFUL_AFTER, "limit": MOST_COUNTED})
    return row


def _sum(column: str) -> Coalesce:
    field = MINOR if column.endswith("_minor") else BigIntegerField()
    return Coalesce(Sum(column), Value(0), output_field=field)


def events(*, after: tuple[datetime, int] | None, most: int) -> list[dict[str, Any]]:
    """Read the figures of at most `most` events, sorted by date and id.

    They are those after `after`, a (date, id), or the first ones if it is None. Drafts are left out. An event's
    figures are those of all its ticket types, also of hidden ones.
    """
    date, event_id = after or ("-infinity", 0)
    return db.rows(sql.EVENTS, {"date": date, "id": event_id, "most": most})


def events_top(*, by: Ranking) -> list[dict[str, Any]]:
    """Read the five events that are highest by a figure, the highest first. Drafts are left out.

    Events with the same figure are ordered by date, then id. Only two groups of events are compared, by their
    present figures: the LOOKED_AT events with the highest stored ranks, and the LOOKED_AT newest ones. Profits in
    different currencies are compared by their numbers: 20.00 EUR is more than 15 JPY.
    """
    text = sql.EVENTS_TOP.format(column=RANKS[by], figure=by.value)
    return db.rows(text, {"weights": weights(), "looked_at": LOOKED_AT, "most": TOP})


@cache
def weights() -> str:
    """Return a factor for each currency, as JSON. Sums in minor units, multiplied by it, can be compared."""
    return json.dumps({code.value: 10 ** (MOST_DIGITS - money.digits(code.value)) for code in Currency})


def inventories_seen() -> QuerySet[Inventory]:
    """Select the inventories of all ticket types except for UNSEEN ones."""
    return Inventory.objects.exclude(UNSEEN)


def goes_on(*, now: datetime) -> Q:
    """Return the condition for inventories whose sale has not ended, also if it is paused or not open yet."""
    return Q(closes_at__gt=now, ticket_type__event__status=Event.Status.ON_SALE)


def ticket_types(*, with_hidden: bool) -> Sequence[dict[str, Any]]:
    """Read the figures of ticket types with the same name and currency, summed over all events.

    Drafts are left out. With `with_hidden`, hidden ticket types count too, if any of their tickets was ever
    reserved.
    """
    seen = inventories_seen() if with_hidden else inventories_seen().exclude(ticket_type__hidden=True)
    named: QuerySet[Any, Any] = seen.values(
        name=F("ticket_type__name"), currency=F("ticket_type__event__currency")
    )
    figures = named.annotate(
        reservation_amount=_sum("reservations"),
        reserved_tickets=_sum("reserved_tickets"),
        sold_amount=_sum("sold"),
        revenue_minor=_sum("revenue_minor"),
    )
    return list(figures.order_by("name", "currency"))
