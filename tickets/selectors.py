"""Reads of events, availability and reservations. Totals of an event come from the counters of its inventories."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from overlord.kernel import db
from overlord.kernel.numbers import LARGEST_ID
from tickets import representation, rules, sql
from tickets.event_rules import Switch, switch_of
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.representation import Figures
from tickets.rules import LISTED_STATES, ClaimFacts, ReservationState

RESERVATION_COLUMNS = (
    "id",
    "lead_id",
    "buyer_id",
    "ticket_type_id",
    "quantity",
    "unit_price_minor",
    "discount_minor",
    "voucher__text",
    "currency",
    "state",
    "created",
    "expires_at",
    "ended_at",
    "idempotency_key",
    "version",
)


# Events --------------------------------------------------------------------------------------------------
def events_listed(*, after: datetime | None = None) -> QuerySet[Event, Any]:
    """Select events on sale as rows of id, name and date; with `after`, only those that begin after it."""
    events = Event.objects.filter(status=Event.Status.ON_SALE).values("id", "name", "date")
    return events if after is None else events.filter(date__gt=after)


def lasts_until(instant: datetime) -> Q:
    """Return the condition for events that begin or end at an instant or later. An end may be unknown."""
    return Q(date__gte=instant) | Q(ends_at__gte=instant)


def coming_or_selling(*, since: datetime, now: datetime, with_hidden: bool = False) -> Q:
    """Return the condition for events that begin at `since` or later, or that still sell tickets at `now`.

    An event sells until the sale of its last ticket type ends. Types that are hidden from buyers count only if
    `with_hidden` is true. The events that began before `since` are read first, by the ends of their sales. The
    condition names them and the earliest date, so that a query by date need not read all past events.
    """
    selling = Inventory.objects.filter(closes_at__gt=now)
    if not with_hidden:
        selling = selling.filter(ticket_type__hidden=False)
    coming = Event.objects.filter(date__gte=since).values("pk")  # read in the index alone
    begun = {*selling.exclude(ticket_type__event__in=coming).values_list("ticket_type__event_id", flat=True)}
    on_sale = Event.objects.filter(pk__in=begun, date__lt=since, status=Event.Status.ON_SALE)
    dates = dict(on_sale.values_list("pk", "date"))
    first = min(dates.values(), default=since)
    return Q(date__gte=first) & (Q(date__gte=since) | Q(pk__in=list(dates)))


def events_static(
    ids: Collection[int], *, drafts: bool = False, hidden: Collection[int] = ()
) -> dict[int, dict[str, Any]]:
    """Read the fields of events that staff edit, by id, each with its `ticket_types`.

    Hidden ticket types are left out, except those in `hidden`. Drafts are left out, unless `drafts` is true.
    """
    possible = [each for each in ids if each <= LARGEST_ID]  # the id in an address may be any number
    asked = {"events": possible, "drafts": drafts, "hidden": list(hidden)}
    found = {row["id"]: {**row, "ticket_types": []} for row in db.rows(sql.EVENTS_STATIC, asked)}
    for row in db.rows(sql.TYPES_STATIC, {**asked, "events": list(found)}):
        found[row["event_id"]]["ticket_types"].append(row)
    return found


def events_with_figures(
    ids: Collection[int], *, drafts: bool = False, hidden: Collection[int] = ()
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[int, Figures]]]:
    """Read what is shown of events, in two dicts by event: the fields that staff edit, and the figures of types."""
    statics = events_static(ids, drafts=drafts, hidden=hidden)
    figures = figures_of_events(statics.keys())
    for event_id, static in statics.items():
        # A ticket type that was made or deleted between the two reads is only in one of them. It is left out.
        live = figures.setdefault(event_id, {})
        static["ticket_types"] = [each for each in static["ticket_types"] if each["id"] in live]
    return statics, figures


def events_detail(ids: Collection[int], *, now: datetime, drafts: bool = False) -> dict[int, dict[str, Any]]:
    """Return events by id as `GET /event/events/<id>/` shows them, read in PostgreSQL."""
    statics, figures = events_with_figures(ids, drafts=drafts)
    return {
        event_id: representation.event_detail(static, figures[event_id], now=now)
        for event_id, static in statics.items()
    }


def events_detail_for_staff(ids: Collection[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the same as `events_detail`, with hidden ticket types if tickets of them were ever reserved.

    `hidden` has the ids of these types, and `switch` says what staff can do with the sale. The sale of an event is
    that of the types which buyers see.
    """
    reserved = TicketType.objects.filter(event__in=list(ids), hidden=True, inventory__reservations__gt=0)
    statics, figures = events_with_figures(ids, hidden=list(reserved.values_list("pk", flat=True)))
    found = {}
    for event_id, static in statics.items():
        live, types = figures[event_id], static["ticket_types"]
        shown = {**static, "ticket_types": [each for each in types if not each["hidden"]]}
        pauses = ((each.paused, each.closes_at) for each in live.values())
        is_on_sale = static["status"] == Event.Status.ON_SALE
        found[event_id] = {
            **representation.event_detail(static, live, now=now),
            "sale": representation.event_detail(shown, live, now=now)["sale"],
            "hidden": {each["id"] for each in types if each["hidden"]},
            "switch": switch_of(pauses, now=now) if is_on_sale else Switch.NOTHING,
        }
    return found


def figures_of_events(ids: Collection[int]) -> dict[int, dict[int, Figures]]:
    """Read the figures of events' ticket types: {event: {ticket type: Figures}}."""
    found: dict[int, dict[int, Figures]] = defaultdict(dict)
    for row in db.rows(sql.FIGURES, {"events": list(ids)}):
        found[row["event"]][row["ticket_type"]] = Figures.from_row(row)
    return found


def types_with_tickets_left(event_ids: Collection[int]) -> dict[int, list[int]]:
    """Read the ids of the ticket types that have tickets left, by event. Hidden types are left out."""
    left = Inventory.objects.filter(
        ticket_type__event_id__in=event_ids, ticket_type__hidden=False, capacity__gt=F("held") + F("sold")
    ).order_by("ticket_type_id")
    found: dict[int, list[int]] = defaultdict(list)
    for event_id, type_id in left.values_list("ticket_type__event_id", "ticket_type_id"):
        found[event_id].append(type_id)
    return found


def event_of_type(ticket_type: int) -> int | None:
    """Return the id of a ticket type's event, or None if there is no such type."""
    return TicketType.objects.filter(pk=ticket_type).values_list("event_id", flat=True).first()


def event_time_zone(event_id: int) -> str | None:
    """Return an event's time zone, or None if there is no such event."""
    return Event.objects.filter(pk=event_id).values_list("time_zone", flat=True).first()


def is_paused(*, event_id: int, now: datetime) -> bool:
    """Return whether the sale of each ticket type of an event is paused or has ended."""
    on = Inventory.objects.filter(ticket_type__event_id=event_id, paused=False, closes_at__gt=now)
    return not on.exists()


def sweep_glance(*, thresholds: Sequence[int], after: datetime, until: datetime) -> dict[str, bool]:
    """Return whether a sweep has work: `due`, `crossed` and `expiring`, which `sql/sweep_glance.sql` explains."""
    [seen] = db.rows(sql.GLANCE, {"thresholds": list(thresholds), "after": after, "until": until})
    return seen


def events_with_sale_boundary(*, after: datetime, until: datetime) -> list[int]:
    """Return the ids of events with a ticket type whose sale opened or closed after `after`, up to `until`."""
    return [row["event"] for row in db.rows(sql.SALE_BOUNDARIES, {"after": after, "until": until})]


# Reservations --------------------------------------------------------------------------------------------
def reservation_rows(reservations: QuerySet[Reservation]) -> QuerySet[Reservation, dict[str, Any]]:
    """Select reservations as rows that `representation.reservation` shows."""
    return reservations.annotate(event_id=F("ticket_type__event_id")).values(*RESERVATION_COLUMNS, "event_id")


def reservations_of(
    *, buyer_id: int, states: Sequence[ReservationState] = LISTED_STATES
) -> QuerySet[Reservation]:
    """Select a buyer's reservations in the given states."""
    return Reservation.objects.filter(buyer_id=buyer_id, state__in=states)


def own_reservations_in_event(*, buyer_id: int, event_id: int, now: datetime) -> list[dict[str, Any]]:
    """Return a buyer's live and paid reservations of an event as the API shows them, without due holds."""
    mine = db.rows(sql.ROWS_IN_EVENT, {"buyer": buyer_id, "event": event_id, "now": now})
    return [representation.reservation(row, now=now) for row in mine]


def order_described(*, buyer_id: int, reservation_id: int, now: datetime) -> list[dict[str, Any]]:
    """Return all reservations of the order of a buyer's reservation, as `reservations_described` does.

    They are sorted by id. The list is empty if there is no such reservation, or it is another buyer's.
    """
    asked = {"reservation": reservation_id, "buyer": buyer_id}
    return _described(db.rows(sql.ROWS_OF_ORDER_WITH, asked), now=now)


def reservations_described(*, buyer_id: int, most: int, now: datetime) -> list[dict[str, Any]]:
    """Return a buyer's newest reservations as the API shows them, with more fields for pages.

    These are `event_name`, `event_date`, `event_time_zone`, `event_is_cancelled`, `event_calendar_version`,
    `ticket_type_name`, `paying_since` and `validated_at`.
    """
    return _described(db.rows(sql.ROWS_OF_BUYER, {"buyer": buyer_id, "most": most}), now=now)


def _described(rows: Sequence[dict[str, Any]], *, now: datetime) -> list[dict[str, Any]]:
    named = (
        "event_name",
        "event_date",
        "event_time_zone",
        "event_is_cancelled",
        "event_calendar_version",
        "ticket_type_name",
        "paying_since",
        "validated_at",
    )
    return [
        {**representation.reservation(row, now=now), **{name: row[name] for name in named}} for row in rows
    ]


def reservation_shown(*, reservation_id: int, now: datetime) -> dict[str, Any] | None:
    """Return any buyer's reservation as the API shows it, or None if there is none."""
    row = reservation_rows(Reservation.objects.filter(pk=reservation_id)).first()
    return None if row is None else representation.reservation(row, now=now)


def open_order(*, buyer_id: int, event_id: int, now: datetime) -> int | None:
    """Return the id of the buyer's newest order with holds in an event, or None. Tickets can be added to it."""
    held = Reservation.objects.filter(
        buyer_id=buyer_id, ticket_type__event_id=event_id, state=ReservationState.HELD, expires_at__gt=now
    )
    found = held.order_by("-id").first()
    return found.order_id if found is not None else None


def orders_live(*, buyer_id: int) -> list[int]:
    """Return the ids of a buyer's orders that have tickets on hold or being paid for, the earliest first."""
    live = Reservation.objects.filter(buyer_id=buyer_id, state__in=Reservation.LIVE)
    return sorted(set(live.annotate(order=Coalesce("lead_id", "id")).values_list("order", flat=True)))


def orders_paid(*, buyer_id: int) -> list[int]:
    """Return the ids of a buyer's paid orders, the earliest first."""
    paid = Reservation.objects.filter(buyer_id=buyer_id, state=ReservationState.VALIDATED)
    return sorted(set(paid.annotate(order=Coalesce("lead_id", "id")).values_list("order", flat=True)))


def order_id_of(*, buyer_id: int, reservation_id: int) -> int | None:
    """Return the id of the order of a buyer's reservation; None if there is none, or it is another buyer's."""
    found = Reservation.objects.filter(pk=reservation_id, buyer_id=buyer_id).first()
    return found.order_id if found is not None else None


def reservation_row(*, buyer_id: int, reservation_id: int) -> dict[str, Any] | None:
    """Read a buyer's reservation; return None if there is none, or it is another buyer's."""
    mine = Reservation.objects.filter(buyer_id=buyer_id, pk=reservation_id)
    return reservation_rows(mine).first()


def reservation_row_by_key(*, buyer_id: int, key: str) -> dict[str, Any] | None:
    """Read the reservation that a buyer made with this Idempotency-Key; return None if there is none."""
    found = db.rows(sql.RESERVATION_BY_KEY, {"buyer": buyer_id, "key": key})
    return found[0] if found else None


def reservations_shown(
    *, buyer_ids: Collection[int], since: datetime, validated: int, now: datetime
) -> dict[int, list[dict[str, Any]]]:
    """Return by buyer the reservations on the buyer's own screens as the API shows them, newest first.

    These are the live ones, the newest paid ones (at most `validated`), and those that ended after `since`.
    """
    shown: dict[int, list[dict[str, Any]]] = {buyer_id: [] for buyer_id in buyer_ids}
    asked = {"buyers": list(buyer_ids), "since": since, "validated": validated}
    for row in db.rows(sql.ROWS_SHOWN, asked):
        shown[row["buyer_id"]].append(representation.reservation(row, now=now))
    return shown


def holds_expiring(*, thresholds: Sequence[int], after: datetime, until: datetime) -> list[dict[str, Any]]:
    """Read the holds whose remaining seconds fell below a threshold between `after` and `until`.

    Rows have reservation, buyer and expires_at. A threshold that is longer than a hold does not count for it.
    """
    return db.rows(sql.HOLDS_EXPIRING, {"thresholds": list(thresholds), "after": after, "until": until})


# Orders --------------------------------------------------------------------------------------------------
def order_rows(*, order_id: int) -> list[dict[str, Any]]:
    """Read all reservations of an order, even ended ones, as rows for `representation.order`, sorted by id."""
    return db.rows(sql.ROWS_OF_ORDER, {"order": order_id})


def orders(order_ids: Collection[int]) -> dict[int, list[Reservation]]:
    """Read all reservations of orders, even ended ones: {order: [reservation]}, sorted by id."""
    found: dict[int, list[Reservation]] = {order_id: [] for order_id in order_ids}
    for each in reservations_joined(sql.ORDERS, orders=list(order_ids)) if order_ids else ():
        found[each.order_id].append(each)
    return found


def orders_alone(order_ids: Collection[int]) -> dict[int, list[Reservation]]:
    """Read the same as `orders`, but without ticket types and events, which is much quicker for PostgreSQL."""
    found: dict[int, list[Reservation]] = {order_id: [] for order_id in order_ids}
    rows = db.instances(sql.ORDERS_ALONE, {"orders": list(order_ids)}, Reservation) if order_ids else ()
    for [each] in rows:
        found[each.order_id].append(each)
    return found


def reservations_joined(text: str, **params: Any) -> list[Reservation]:
    """Run a statement of `sql` on reservations; return each with its ticket type and its event."""
    return [reservation for reservation, *_ in _joined(text, params)]


def reservations_joined_at(text: str, **params: Any) -> list[tuple[Reservation, datetime]]:
    """Return the same as `reservations_joined`, each with the last column of its row, which is an instant."""
    return [(row[0], row[-1]) for row in _joined(text, params)]


def _joined(text: str, params: Mapping[str, Any]) -> list[list[Any]]:
    found = db.instances(text, params, Reservation, TicketType, Event)
    for reservation, ticket_type, event, *_ in found:
        join(reservation, ticket_type, event)
    return found


def join(reservation: Reservation, ticket_type: TicketType, event: Event) -> None:
    """Set a reservation's ticket type, and the event of that type, which were read in the same statement."""
    ticket_type.event = event
    reservation.ticket_type = ticket_type


def order_states(*, buyer_id: int, order_id: int, now: datetime) -> list[tuple[ReservationState, datetime]]:
    """Return the state at `now` and the end of each reservation of a buyer's order; [] for no such order."""
    members = Reservation.objects.filter(
        Q(pk=order_id, lead=None) | Q(lead_id=order_id), buyer_id=buyer_id
    ).order_by("id")
    return [
        (rules.state_at(state=state, expires_at=expires_at, now=now), ended_at or expires_at)
        for state, expires_at, ended_at in members.values_list("state", "expires_at", "ended_at")
    ]


def reservations_of_order(order_id: int) -> QuerySet[Reservation]:
    """Select the reservations of an order.

    To read rows that refer to them, filter by `reservation__in`, which uses an index. A condition with OR over the
    columns of two tables would read all rows.
    """
    return Reservation.objects.filter(Q(pk=order_id) | Q(lead_id=order_id))


def order_claimed_at(*, order_id: int, created: datetime) -> dict[int, int]:
    """Return the tickets that one claim added to an order at the instant `created`: {ticket type: quantity}."""
    made = reservations_of_order(order_id).filter(created=created)
    return dict(made.values_list("ticket_type_id", Coalesce("quantity_claimed", "quantity")))


def order_held(*, order_id: int) -> dict[int, int]:
    """Return the tickets on hold in an order, with the quantities that were claimed: {ticket type: quantity}."""
    held = reservations_of_order(order_id).filter(state=ReservationState.HELD)
    return dict(held.values_list("ticket_type_id", Coalesce("quantity_claimed", "quantity")))


def events_of_types(ticket_types: Collection[int]) -> dict[int, int]:
    """Return the events of ticket types: {ticket type: event}. Types that do not exist are left out."""
    return dict(TicketType.objects.filter(pk__in=ticket_types).values_list("id", "event_id"))


# The claim -----------------------------------------------------------------------------------------------
def claim_facts(*, buyer_id: int, ticket_type: int) -> ClaimFacts | None:
    """Read the facts that decide a claim, in one statement, by the database's clock; None for an unknown type."""
    found = db.rows(sql.CLAIM_FACTS, {"buyer": buyer_id, "ticket_type": ticket_type})
    return ClaimFacts(**found[0]) if found else None


def types_with_due_holds(*, most: int) -> list[int]:
    """Return the ids of the ticket types of the `most` holds that have been due longest."""
    return [row["ticket_type_id"] for row in db.rows(sql.TYPES_WITH_DUE_HOLDS, [most])]
