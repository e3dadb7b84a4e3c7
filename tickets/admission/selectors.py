"""Reads of tickets, of the links to them, of the keys that sign their codes, and of scans."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from overlord.accounts.selectors import buyer_named
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission import links, representation, sql
from tickets.admission.links import Link, NotALink, Subject
from tickets.admission.models import Key, Scan, Ticket
from tickets.admission.rules import ScanResult, serial_read
from tickets.models import Event, TicketType


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The tickets that a person may see and change: those of an order as its buyer, or `only` one as its holder.

    `link` is the link that gives the right, and None for a buyer who is logged in. The right ends with the link.
    """

    order_id: int
    link: Link | None = None

    @property
    def only(self) -> int | None:
        """Return the id of the one ticket that a holder has, or None for a buyer."""
        return self.link.id if self.link is not None and self.link.subject == Subject.TICKET else None

    def has(self, *, ticket_id: int, issue: int) -> bool:
        """Return whether this issue of a ticket of the order is within reach. A holder reaches one ticket only."""
        return self.only is None or self.link == Link(subject=Subject.TICKET, id=ticket_id, number=issue)


TICKET_COLUMNS = (
    "id",
    "reservation_id",
    "event_id",
    "seat",
    "serial",
    "issue",
    "holder",
    "handed_to",
    "state",
    "admitted_at",
)


def tickets_of(*, reservation_ids: Collection[int]) -> list[dict[str, Any]]:
    """Read the tickets of reservations as rows for `representation.ticket`, sorted by reservation and seat."""
    return list(
        Ticket.objects.filter(reservation_id__in=reservation_ids)
        .order_by("reservation_id", "seat")
        .annotate(ticket_type=F("reservation__ticket_type_id"))
        .values(*TICKET_COLUMNS, "ticket_type")
    )


def tickets_of_order(*, order_id: int) -> list[dict[str, Any]]:
    """Read all tickets of an order as `tickets_of` does, with more fields for pages.

    These are `ticket_type_name`, `admitted_gate` and `order`, and of the event `event_name`, `event_date`,
    `event_ends_at`, `event_time_zone`, `event_status`, `event_venue`, `event_address` and `event_calendar_version`.
    """
    return db.rows(sql.TICKETS_OF_ORDER, {"order": order_id})


def order_link(*, order_id: int) -> str:
    """Return the signed text of the link that works now for an order's tickets."""
    return links.link_sign(Link(subject=Subject.ORDER, id=order_id, number=_order_number(order_id)))


def ticket_link(*, ticket_id: int, issue: int) -> str:
    """Return the signed text of the link for the holder of a ticket. It works while the ticket has this issue."""
    return links.link_sign(Link(subject=Subject.TICKET, id=ticket_id, number=issue))


def reach_of_link(signed: str) -> Reach:
    """Return the reach of a link; raise NotFound for a text that is not a link, and for a link that has ended."""
    try:
        link = links.link_read(signed)
    except NotALink:
        raise NotFound() from None
    if link.subject == Subject.TICKET:
        handed = Ticket.objects.filter(pk=link.id, issue=link.number).exclude(handed_to="")
        found = handed.values_list(Coalesce("reservation__lead_id", "reservation_id"), flat=True).first()
        if found is None:
            raise NotFound()
        return Reach(order_id=found, link=link)
    if link.number != _order_number(link.id):
        raise NotFound()
    return Reach(order_id=link.id, link=link)


def reach_of_holder(ticket: Ticket) -> Reach:
    """Return the reach of the person who has this issue of a ticket."""
    link = Link(subject=Subject.TICKET, id=ticket.pk, number=ticket.issue)
    return Reach(order_id=ticket.reservation.order_id, link=link)


def check_reach(reach: Reach, ticket: Ticket) -> None:
    """Raise NotFound if a locked ticket is not within reach, or if the link has ended since it was read."""
    link = reach.link
    if not reach.has(ticket_id=ticket.pk, issue=ticket.issue):
        raise NotFound()
    if link is not None and link.subject == Subject.ORDER and link.number != _order_number(link.id):
        raise NotFound()


def links_of_order(*, order_id: int) -> list[Link]:
    """Return the working links to an order's tickets: that of the order, and those of tickets handed over."""
    of_order = Ticket.objects.filter(reservation__in=tickets.reservations_of_order(order_id))
    handed = of_order.exclude(handed_to="").values_list("id", "issue")
    return [
        Link(subject=Subject.ORDER, id=order_id, number=_order_number(order_id)),
        *(Link(subject=Subject.TICKET, id=pk, number=issue) for pk, issue in handed),
    ]


def tickets_live(found: Collection[Link]) -> dict[str, list[dict[str, Any]]]:
    """Read the state of tickets for open pages, by the content of their links: rows of `sql/tickets_live.sql`.

    Links that no longer work are left out.
    """
    asked = {subject: [link.id for link in found if link.subject == subject] for subject in Subject}
    given = {"orders": asked[Subject.ORDER], "tickets": asked[Subject.TICKET]}
    by_link: dict[str, list[dict[str, Any]]] = {link.content: [] for link in found}
    for row in db.rows(sql.TICKETS_LIVE, given):
        link = Link(subject=Subject(row["subject"]), id=row["link_id"], number=row["number"])
        if link.content in by_link:
            by_link[link.content].append(row)
    return {content: rows for content, rows in by_link.items() if rows}


def _order_number(order_id: int) -> int:
    found = db.rows(sql.LINK_NUMBER, [order_id])
    return int(found[0]["number"]) if found else 1


def is_of(*, reservation_id: int, ticket_id: int) -> bool:
    """Return whether a ticket belongs to a reservation."""
    return Ticket.objects.filter(pk=ticket_id, reservation_id=reservation_id).exists()


def keys_of(*, event_id: int) -> list[Key]:
    """Return an event's keys, the newest first."""
    return [key for [key] in db.instances(sql.KEYS_OF_EVENT, [event_id], Key)]


def key_row(*, key_id: int) -> dict[str, Any] | None:
    """Read the event and the public half of a key; return None if there is no such key."""
    return next(iter(db.rows(sql.KEY, [key_id])), None)


def keys_newest(*, most: int) -> list[Key]:
    """Return the newest keys of all events."""
    return list(Key.objects.order_by("-id")[:most])


# The door ------------------------------------------------------------------------------------------------
_OF_TICKET = {
    "seats": F("reservation__quantity"),
    "ticket_type": F("reservation__ticket_type_id"),
    "ticket_type_name": F("reservation__ticket_type__name"),
    "event_name": F("reservation__ticket_type__event__name"),
    "username": F("reservation__buyer__username"),
    "is_guest": F("reservation__buyer__is_guest"),
    "contact_name": F("reservation__buyer__contact_name"),
    "email": F("reservation__buyer__email"),
    "contact_email": F("reservation__buyer__contact_email"),
}
_TICKET = "ticket__"  # in a row of a scan, the names of its ticket's columns begin with this
_FIRST_COLUMNS = ("scan_id", "at", "gate", "actor__username")
_SCAN_COLUMNS = (
    "id",
    "scan_id",
    "event_id",
    "ticket_id",
    "gate",
    "actor__username",
    "result",
    "at",
    "recorded_at",
    "unchecked",
    "undone_at",
    "undone_by__username",
    *(f"first__{column}" for column in _FIRST_COLUMNS),
)


def types_of(*, event_id: int) -> dict[int, str]:
    """Return the names of an event's ticket types by id; {} for a draft."""
    types = TicketType.objects.filter(event_id=event_id).exclude(event__status=Event.Status.DRAFT)
    return dict(types.order_by("pk").values_list("pk", "name"))


def scans(*, ids: Collection[int]) -> list[dict[str, Any]]:
    """Read scans by their row ids, the newest first. `ticket` of each is its ticket, or None if it is unknown."""
    return _with_tickets(Scan.objects.filter(pk__in=ids))


def scan_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scan as `scans` does, with its ticket under `ticket`, from a row of `admission_scan_answer`."""
    ticket = {name.removeprefix(_TICKET): value for name, value in row.items() if name.startswith(_TICKET)}
    return {**row, "ticket": ticket if ticket["id"] is not None else None}


def event_time(*, event_id: int) -> dict[str, Any]:
    """Return when an event begins and its time zone, as a ticket's fields `event_date` and `event_time_zone`."""
    found = Event.objects.filter(pk=event_id).values(event_date=F("date"), event_time_zone=F("time_zone"))
    return {**(found.first() or {})}


def scans_newest(*, event_id: int, gate: str | None, only_conflicts: bool, most: int) -> list[dict[str, Any]]:
    """Read the newest scans of an event as `scans` does, only those at `gate` if that is given."""
    found = Scan.objects.filter(event_id=event_id)
    if gate is not None:
        found = found.filter(gate=gate)
    if only_conflicts:
        found = found.filter(unchecked=True).exclude(result=ScanResult.ADMITTED)
    return _with_tickets(found, most=most)


def _with_tickets(found: QuerySet[Scan], *, most: int | None = None) -> list[dict[str, Any]]:
    """Read scans, the newest first, each with its ticket or None under `ticket`."""
    rows = list(found.order_by("-recorded_at", "-id").values(*_SCAN_COLUMNS)[:most])
    shown = {
        row["id"]: row for row in _tickets(Ticket.objects.filter(pk__in={row["ticket_id"] for row in rows}))
    }
    return [{**row, "ticket": shown.get(row["ticket_id"])} for row in rows]


def _tickets(found: QuerySet[Ticket]) -> QuerySet[Ticket, dict[str, Any]]:
    return found.annotate(**_OF_TICKET).values(*TICKET_COLUMNS, *_OF_TICKET)


def tickets_found(*, event_id: int, words: str, most: int) -> list[dict[str, Any]]:
    """Find tickets of an event by serial, holder, buyer's name or e-mail address.

    `first` of each is the scan that admitted the ticket, or None.
    """
    wanted = Q(holder__icontains=words) | Q(handed_to__icontains=words)
    if serial := serial_read(words):  # an empty text would find all serials
        wanted |= Q(serial__startswith=serial)
    wanted |= buyer_named(words, through="reservation__buyer__")
    found = Ticket.objects.filter(wanted, event_id=event_id).order_by("reservation_id", "seat")
    rows = list(_tickets(found)[:most])
    admitting = Scan.objects.filter(
        ticket_id__in=[row["id"] for row in rows], result=ScanResult.ADMITTED, undone_at=None
    )
    first = {row["ticket_id"]: row for row in admitting.values("ticket_id", *_FIRST_COLUMNS)}
    return [{**row, "first": first.get(row["id"])} for row in rows]


def reservation_of_serial(text: str) -> int | None:
    """Return the id of the reservation that has the ticket with a typed serial; None if there is none."""
    found = Ticket.objects.filter(serial=serial_read(text)).values_list("reservation_id", flat=True)
    return found.first()


def gates_of(*, event_id: int) -> list[str]:
    """Return the names of the gates at which tickets of an event were scanned."""
    return list(
        Scan.objects.filter(event_id=event_id).order_by("gate").values_list("gate", flat=True).distinct()
    )


def door_list(*, event_id: int, since: int) -> dict[str, Any]:
    """Read the tickets of an event that changed since a version, or all of them, and the present version.

    `complete` is true if these are all tickets: if `since` is 0, or higher than the present version.
    """
    [row] = db.rows(sql.DOOR_LIST, {"event": event_id, "since": since})
    # The door may have a version from before a restore of the database, which lowers versions.
    if since > row["version"]:
        [row] = db.rows(sql.DOOR_LIST, {"event": event_id, "since": 0})
        return {**row, "complete": True}
    return {**row, "complete": since == 0}


def door_states(event_ids: Collection[int], *, now: datetime) -> list[dict[str, Any]]:
    """Read the admissions of events, as rows that `representation.door` shows."""
    return db.rows(sql.DOOR_STATE, {"events": list(event_ids), "now": now})


def door_events(*, since: datetime, most: int, now: datetime) -> list[dict[str, Any]]:
    """Return the events for which a door can be opened, the earliest first.

    They are those that are not over at `since`, and those that still sell tickets at `now`.
    """
    lasting = tickets.lasts_until(since) | tickets.coming_or_selling(since=since, now=now, with_hidden=True)
    shown = Event.objects.exclude(status=Event.Status.DRAFT).filter(lasting)
    events = shown.order_by("date", "id")
    return [dict(row) for row in events.values("id", "name", "date", "time_zone")[:most]]


def has_door(*, event_id: int) -> bool:
    """Return whether the event exists and is not a draft."""
    return Event.objects.exclude(status=Event.Status.DRAFT).filter(pk=event_id).exists()


def door_event(*, event_id: int) -> dict[str, Any] | None:
    """Return the event of a door, with the gates that scanned its tickets; None for a draft or an unknown event."""
    found = Event.objects.exclude(status=Event.Status.DRAFT).filter(pk=event_id)
    event = found.values("id", "name", "date", "time_zone", "status").first()
    return None if event is None else {**event, "gates": gates_of(event_id=event_id)}


def doors(*, after: datetime, before: datetime, most: int, now: datetime) -> list[dict[str, Any]]:
    """Read the admissions of `most` events that have scans, sorted by date.

    They are the first events that begin between the two times, and if there are fewer of them, the latest ones that
    began before and end later than `after`. Each has `id`, `name`, `date`, `time_zone`, and the fields of
    `representation.door`.
    """
    scanned = Event.objects.filter(Exists(Scan.objects.filter(event=OuterRef("pk"))))
    named = scanned.values("id", "name", "date", "time_zone")
    found = list(named.filter(date__gte=after, date__lt=before).order_by("date", "id")[:most])
    lasting = named.filter(date__lt=after, ends_at__gt=after).order_by("-date", "-id")
    found = [*lasting[: most - len(found)]][::-1] + found
    shown = {row["id"]: row for row in found}
    states = {row["event"]: row for row in door_states(list(shown), now=now)} if shown else {}
    return [
        {**shown[event_id], **representation.door(states[event_id])}
        for event_id in shown
        if event_id in states
    ]
