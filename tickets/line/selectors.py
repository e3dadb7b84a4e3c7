"""Reads of lines, of their entries, and of what is due in them."""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import rules as tickets_rules
from tickets import selectors as tickets
from tickets.event_rules import SaleState
from tickets.line import rules, sql
from tickets.line.models import Entry, Line, PublicValue, StaffAction
from tickets.line.rules import EntryState
from tickets.models import Event, Inventory, TicketType


def lines(event_ids: Collection[int]) -> dict[int, Line]:
    """Read the lines of events that open by a draw, by event. An event without a line is left out."""
    return Line.objects.filter(event__opening=tickets_rules.Opening.DRAW).in_bulk(event_ids)


def sales(event_ids: Collection[int], *, now: datetime) -> dict[int, rules.Sale]:
    """Read when the sale of each of these events opens and ends for buyers, by event.

    A sale opens as `sql/line_opens_at.sql` says. Drafts, which only staff see, and events that do not exist are
    left out.
    """
    shown = Q(ticket_types__hidden=False)
    selling = shown & Q(ticket_types__inventory__closes_at__gt=now)
    opening = "ticket_types__inventory__opens_at"
    found = Event.objects.exclude(status=Event.Status.DRAFT).filter(pk__in=event_ids)
    found = found.annotate(
        opens=Coalesce(Min(opening, filter=selling), Min(opening, filter=shown)),
        closes=Max("ticket_types__inventory__closes_at", filter=shown),
    )
    return {
        pk: rules.Sale(opens_at=opens_at, closes_at=closes_at, is_cancelled=status == Event.Status.CANCELLED)
        for pk, opens_at, closes_at, status in found.values_list("pk", "opens", "closes", "status")
    }


def is_waiting(*, buyer_id: int, now: datetime) -> bool:
    """Return whether a buyer waits in a line that may still give tickets, of any event."""
    waiting = Entry.objects.filter(
        buyer=buyer_id,
        state=EntryState.WAITING,
        line__event__opening=tickets_rules.Opening.DRAW,
        line__in=_inventories_selling(now=now).values("ticket_type__event_id"),
    )
    return waiting.exclude(line__event__status=Event.Status.CANCELLED).exists()


def _inventories_selling(*, now: datetime) -> QuerySet[Inventory]:
    """Select the inventories whose tickets are sold to buyers now or later."""
    return Inventory.objects.filter(ticket_type__hidden=False, closes_at__gt=now)


def may_work(*, now: datetime) -> bool:
    """Return whether a lobby, a given hold or a line may be due. Usually none is, and this is the only query."""
    return bool(db.rows(sql.GLANCE, {"now": now, "soon": _lobby_soon(now)})[0]["may_work"])


def _lobby_soon(now: datetime) -> datetime:
    return now + timedelta(minutes=settings.LOBBY_MINUTES)


def lobbies_due(*, now: datetime) -> list[int]:
    """Return the ids of events with a draw that have no line yet although their lobby should be open."""
    soon = Inventory.objects.filter(
        ticket_type__event__opening=tickets_rules.Opening.DRAW,
        ticket_type__hidden=False,
        opens_at__lte=_lobby_soon(now),
        ticket_type__event__status=Event.Status.ON_SALE,
        closes_at__gt=now,
    ).exclude(ticket_type__event_id__in=Line.objects.values("event_id"))
    return sorted(set(soon.values_list("ticket_type__event_id", flat=True)))


def lines_at_work(*, now: datetime) -> list[Line]:
    """Read the lines that have people to draw or to serve, of events that still sell, sorted by id."""
    by_the_line = Inventory.objects.filter(line_first=True).values("ticket_type__event_id")
    drawn = Line.objects.filter(
        event__opening=tickets_rules.Opening.DRAW,
        event__status=Event.Status.ON_SALE,
        pk__in=_inventories_selling(now=now).values("ticket_type__event_id"),
    )
    return list(drawn.exclude(~Q(pk__in=by_the_line), phase=rules.Phase.OPEN).order_by("pk"))


def is_worth_serving(*, event_id: int) -> bool:
    """Return whether serving a line may change anything.

    It may if tickets are left, if a type is open to direct claims, if the line is being served and is neither
    paused nor marked as standing still, or if nobody waits any more.
    """
    inventories = Inventory.objects.filter(ticket_type__event_id=event_id, ticket_type__hidden=False)
    is_left = inventories.filter(capacity__gt=F("held") + F("sold"), paused=False).exists()
    moving = Line.objects.filter(pk=event_id, phase=rules.Phase.SERVING, is_standing=False, is_held=False)
    if is_left or moving.exists() or inventories.filter(line_first=False).exists():
        return True
    return not is_anyone_waiting(event_id=event_id)


def inventories_state(*, event_id: int) -> int:
    """Return a number that changes whenever an inventory of an event changes."""
    stock = Inventory.objects.filter(ticket_type__event_id=event_id)
    return int(stock.aggregate(state=Sum("version", default=0))["state"])


def is_there(*, event_id: int, items: rules.Items, now: datetime) -> bool:
    """Return whether all these tickets of an event can be claimed directly now."""
    figures = tickets.figures_of_events([event_id]).get(event_id, {})
    return all(
        ticket_type in figures
        and figures[ticket_type].sale(now=now) == SaleState.OPEN
        and figures[ticket_type].capacity - figures[ticket_type].held - figures[ticket_type].sold >= quantity
        for ticket_type, quantity in items
    )


def entry_facts(*, event_id: int, buyer_id: int | None, now: datetime) -> rules.EntryFacts | None:
    """Read the facts that decide whether a person may enter an event's line; None for no such event or a draft."""
    found = db.rows(sql.ENTERING, {"event": event_id, "buyer": buyer_id, "now": now})
    if not found:
        return None
    [row] = found
    types = {each["ticket_type"]: rules.TypeFacts(**each) for each in json.loads(row["types"])}
    return rules.EntryFacts(**{**row, "types": types})


def types_of(*, event_id: int) -> list[int]:
    """Return the ids of an event's ticket types, without hidden ones."""
    shown = TicketType.objects.filter(event_id=event_id, hidden=False)
    return list(shown.values_list("pk", flat=True))


def opens_by_draw(*, event_id: int) -> bool | None:
    """Return whether an event opens by a draw, or None if there is no such event or it is a draft."""
    shown = Event.objects.exclude(status=Event.Status.DRAFT)
    opening = shown.filter(pk=event_id).values_list("opening", flat=True).first()
    return None if opening is None else opening == tickets_rules.Opening.DRAW


def check_exists(*, event_id: int) -> None:
    """Raise NotFound if there is no such event, or if it is a draft."""
    if opens_by_draw(event_id=event_id) is None:
        raise NotFound()


def types_wished(*, event_id: int, served: int) -> set[int]:
    """Return the ids of the ticket types that people who wait in a drawn line wish.

    A choice that can never be given does not count (`sql/types_wished.sql`). `served` is the last place that was
    served.
    """
    found = db.rows(sql.TYPES_WISHED, {"event": event_id, "served": served})
    return {row["ticket_type"] for row in found}


def is_anyone_waiting(*, event_id: int) -> bool:
    """Return whether somebody waits in the line of an event."""
    return Entry.objects.filter(line_id=event_id, state=EntryState.WAITING).exists()


def is_anyone_behind(*, event_id: int, served: int) -> bool:
    """Return whether somebody whose turn has not come waits behind the last place that was served."""
    behind = Entry.objects.filter(line_id=event_id, place__gt=served, turn_at=None)
    return behind.filter(state=EntryState.WAITING).exists()


def entry_of(*, event_id: int, buyer_id: int, now: datetime) -> Entry | None:
    """Read a buyer's entry in an event's line, or None.

    If there are several, it is one with a live order, else the one that waits, else the newest. The query's only
    condition is the buyer, who has few entries. With the line as a second condition, PostgreSQL might read all
    entries of a line for which it has no statistics yet.
    """
    newest_first = Entry.objects.filter(buyer_id=buyer_id).order_by("-number")
    own = [entry for entry in newest_first if entry.line_id == event_id]
    live = _orders_live(event_id=event_id, buyer_id=buyer_id, now=now) if len(own) > 1 else set()
    return min(
        own,
        key=lambda entry: (not _has_order(entry, live), entry.state != EntryState.WAITING),
        default=None,
    )


def is_given(*, event_id: int, buyer_id: int, now: datetime) -> bool:
    """Return whether a buyer has a live order that the line of an event gave."""
    entry = entry_of(event_id=event_id, buyer_id=buyer_id, now=now)
    if entry is None or entry.state != EntryState.GIVEN:
        return False
    return _has_order(entry, _orders_live(event_id=event_id, buyer_id=buyer_id, now=now))


def _has_order(entry: Entry, orders: Collection[int]) -> bool:
    return entry.state == EntryState.GIVEN and entry.order_id in orders


def _orders_live(*, event_id: int, buyer_id: int, now: datetime) -> set[int]:
    """Read the ids of a buyer's orders for an event that have live reservations."""
    mine = tickets.own_reservations_in_event(buyer_id=buyer_id, event_id=event_id, now=now)
    return {each["order"] for each in mine if each["state"] in tickets_rules.LIVE_STATES}


def entries_to_pass_on(*, now: datetime, most: int) -> list[int]:
    """Return the ids of given entries whose holds nobody looked at in time, the longest due first."""
    due = Entry.objects.filter(state=EntryState.GIVEN, looked_at=None, look_by__lte=now)
    return list(due.order_by("look_by").values_list("pk", flat=True)[:most])


def closed_list(*, line: Line) -> list[tuple[int, datetime]]:
    """Read the list that the draw closed: number and time of entry, sorted by number."""
    drawn = Entry.objects.filter(line_id=line.pk, number__lte=line.drawn or 0).order_by("number")
    return list(drawn.values_list("number", "entered_at"))


def public_names(event_ids: Collection[int]) -> dict[int, str]:
    """Read the names of the public values that the draws of these events will use, by event."""
    return dict(PublicValue.objects.filter(pk__in=event_ids).values_list("pk", "name"))


def staff_actions(*, event_id: int, most: int) -> list[StaffAction]:
    """Read the actions of staff on an event's line, the latest first."""
    done = StaffAction.objects.filter(event_id=event_id).select_related("actor")
    return list(done.order_by("-pk")[:most])


def proof(*, event_id: int) -> dict[str, Any] | None:
    """Return the facts from which anyone can compute every place of a draw; None before the draw and for a draft.

    The facts contain no names and no ids of people.
    """
    drawn = Line.objects.filter(pk=event_id).exclude(phase=rules.Phase.LOBBY)
    line = drawn.exclude(event__status=Event.Status.DRAFT).first()
    if line is None:
        return None
    return {
        "public_name": line.public_name or None,
        "public_value": line.public_value,
        "commitment": line.commitment,
        "seed": line.seed,
        "digest": line.digest,
        "drawn": line.drawn,
        "entries": [[number, f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"] for number, at in closed_list(line=line)],
    }
