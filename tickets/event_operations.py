"""Steps with which staff edit events, ticket types and their sale, inside an open transaction.

The admin calls these steps itself, without a service, because Django has already opened the transaction in which
the admin saves. The event is locked first, then its inventories by id. An edit of several steps ends with
`event_changed`, which announces the event once, after the commit. A step that is a whole edit (adding or deleting
an event, a picture, a status, a pause) announces the event itself. `now` is when the request or the command began.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db.models import F, Max
from django.db.models.functions import Cast

from overlord.kernel import db
from tickets import event_rules, event_selectors, operations, projections
from tickets.event_files import EventToLoad
from tickets.event_rules import EventStatus, PlaceAndTime
from tickets.models import Event, Inventory, MoveNotice, Reservation, TicketType
from tickets.rules import Opening

NOTICES_AT_ONCE = 2000  # rows in one statement
# When a hold ended this long ago, its payment has an outcome or is abandoned.
OUTCOME_AFTER = timedelta(minutes=30)


def event_lock(*, event_id: int) -> Event | None:
    """Lock an event against other edits and return it, or None if there is no such event."""
    db.transaction_required()
    return Event.objects.select_for_update(no_key=True).filter(pk=event_id).first()


def event_add(*, event: EventToLoad, now: datetime) -> Event:
    """Add an event of a file, with its ticket types, and put it on sale; return its row."""
    db.transaction_required()
    added = Event.objects.create(
        name=event.name,
        date=event.date,
        time_zone=event.time_zone,
        currency=event.currency,
        description=event.description,
        buyers=event.buyers,
    )
    for each in event.types:
        ticket_type = TicketType.objects.create(
            event=added, name=each.name, price_minor=each.price_minor, max_per_user=each.max_per_user
        )
        inventory_set(
            ticket_type=ticket_type,
            capacity=each.capacity,
            opens_at=each.opens_at,
            closes_at=each.closes_at,
        )
    event_changed(event_id=added.pk, now=now)
    return added


def event_picture_set(*, event: Event, picture: str, now: datetime) -> None:
    """Set the picture of a locked event; an empty text removes it."""
    db.transaction_required()
    Event.objects.filter(pk=event.pk).update(picture=picture)
    event.picture = picture
    event_changed(event_id=event.pk, now=now)


def sale_ends_move(
    *, event_id: int, before: datetime, after: datetime, kept: Collection[int] = frozenset()
) -> None:
    """Move the end of each sale that ends when the event begins.

    `before` is the event's former date, and `after` its new one. The sales of the ticket types in `kept` stay as
    they are, even if they end at the former date.
    """
    db.transaction_required()
    ending = Inventory.objects.filter(ticket_type__event_id=event_id, closes_at=before).exclude(pk__in=kept)
    ending.update(closes_at=after, version=F("version") + 1)


def calendar_version_raise(*, event_id: int) -> None:
    """Raise the calendar version of an event, so that calendars know that its next file is newer."""
    db.transaction_required()
    Event.objects.filter(pk=event_id).update(calendar_version=F("calendar_version") + 1)


def move_notices_owe(*, event_id: int, before: PlaceAndTime, now: datetime) -> None:
    """Owe each buyer of a locked event a mail about its new date or place.

    A buyer for whom such a mail still waits for its first try gets only that one. The waiting mails are locked:
    otherwise a worker could write one of them with the old facts, before this edit is committed.

    A buyer with a live reservation is owed a mail too, because this buyer may pay without seeing the new date, by
    API or at the bank. The mail is due when the payment has an outcome, or at the first edit after the buyer has
    paid. It is not sent if the buyer then has no tickets.
    """
    db.transaction_required()
    waiting = MoveNotice.objects.filter(event_id=event_id, next_look_at__isnull=False, attempts=0)
    list(waiting.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    reservations = Reservation.objects.filter(ticket_type__event_id=event_id).order_by()
    live = reservations.filter(state__in=Reservation.LIVE).values_list("buyer_id").annotate(Max("expires_at"))
    due = {buyer_id: max(ends, now) + OUTCOME_AFTER for buyer_id, ends in live}
    sold = reservations.filter(state=Reservation.State.VALIDATED).values_list("buyer_id", flat=True)
    due |= dict.fromkeys(sold.distinct(), now)
    notices = [
        MoveNotice(
            event_id=event_id,
            buyer_id=buyer_id,
            date_before=before.date,
            time_zone_before=before.time_zone,
            venue_before=before.venue,
            address_before=before.address,
            next_look_at=next_look_at,
        )
        for buyer_id, next_look_at in sorted(due.items())
    ]
    MoveNotice.objects.bulk_create(notices, batch_size=NOTICES_AT_ONCE, ignore_conflicts=True)
    waiting.filter(next_look_at__gt=now, buyer_id__in=sold).update(next_look_at=now)


def event_delete(*, event: Event, now: datetime) -> None:
    """Delete an event with its ticket types; raise ProtectedError if it has reservations.

    The inventories are locked before the search for reservations, so that no claim comes in between. Old holds may
    have been pruned, so the caller checks `event_selectors.is_reserved` before.
    """
    event_id = event.pk
    event_lock(event_id=event_id)
    for lock in operations.deletion_locks:
        lock(event_id=event_id)
    operations.inventories_lock(event_id=event_id)
    event.delete()
    db.after_commit(partial(projections.announce_deleted, event_id=event_id, now=now))


def event_changed(*, event_id: int, now: datetime) -> None:
    """Give an edited event its next version, and announce it."""
    db.transaction_required()
    Event.objects.filter(pk=event_id).update(version=F("version") + 1)
    db.after_commit(partial(projections.announce_event, event_id=event_id, now=now))


def opening_set(*, event: Event) -> None:
    """Let a line come first for all shown ticket types if the event opens by a draw, and otherwise for none."""
    db.transaction_required()
    shown = Inventory.objects.filter(ticket_type__event_id=event.pk, ticket_type__hidden=False)
    types = shown.values_list("pk", flat=True)
    first = set(types) if event.opening == Opening.DRAW else set()
    operations.line_first_write(event_id=event.pk, types=first)


def inventory_set(*, ticket_type: TicketType, **decided: Any) -> None:
    """Set the sale of a ticket type; make its inventory if there is none.

    `decided` has those of `capacity`, `opens_at`, `closes_at` and `paused` that change. A `closes_at` of None means
    the event's date. A capacity below the number of held and sold tickets violates `inventory_never_oversold`.
    The type is paused if the event is not on sale. A new type is also paused if staff have paused the whole sale.
    """
    db.transaction_required()
    event = Event.objects.only("date", "opening", "status").get(pk=ticket_type.event_id)
    date = event.date
    if event.status != EventStatus.ON_SALE:
        decided["paused"] = True
    elif "paused" in decided:
        decided["paused_alone"] = decided["paused"]
    if "closes_at" in decided:
        decided["closes_at"] = decided["closes_at"] or date
    changed = Inventory.objects.filter(pk=ticket_type.pk).update(version=F("version") + 1, **decided)
    if not changed:
        line_first = event.opening == Opening.DRAW and not ticket_type.hidden
        if event_rules.is_paused_as_a_whole(event_selectors.pauses(event_id=event.pk)):
            decided["paused"] = True
        Inventory.objects.create(
            ticket_type=ticket_type, **{"closes_at": date, "line_first": line_first, **decided}
        )


def type_names_free(*, ticket_types: Collection[int]) -> None:
    """Give each of these ticket types a unique temporary name, so that two of them can exchange their names.

    The index of unique names compares each row as it is written, not when the transaction ends.
    """
    db.transaction_required()
    if len(ticket_types) > 1:
        unique = Cast(RandomUUID(), TicketType._meta.get_field("name"))
        TicketType.objects.filter(pk__in=ticket_types).update(name=unique)


def ticket_type_hidden_set(*, ticket_type: TicketType) -> None:
    """Adapt the sale of a ticket type that was hidden from buyers or is shown again. Hidden types have no line.

    Clients see the sum of the versions of the event and its shown inventories. It must not fall when an inventory
    is hidden, so the event's version rises by that of the inventory.
    """
    db.transaction_required()
    inventory = Inventory.objects.select_for_update(no_key=True).get(pk=ticket_type.pk)
    if ticket_type.hidden:
        Event.objects.filter(pk=ticket_type.event_id).update(version=F("version") + inventory.version)
    opening = Event.objects.values_list("opening", flat=True).get(pk=ticket_type.event_id)
    line_first = opening == Opening.DRAW and not ticket_type.hidden
    Inventory.objects.filter(pk=ticket_type.pk).update(line_first=line_first, version=F("version") + 1)


def ticket_type_delete(*, ticket_type: TicketType) -> None:
    """Delete a ticket type; raise ProtectedError if it has reservations.

    Old holds may have been pruned, so the caller checks `event_selectors.is_type_reserved` before.

    Clients see the sum of the versions of the event and its inventories. It must not fall, so the event's version
    rises by that of the deleted inventory.
    """
    db.transaction_required()
    inventory = Inventory.objects.filter(pk=ticket_type.pk).first()
    event_id, lost = ticket_type.event_id, inventory.version if inventory else 0
    ticket_type.delete()
    Event.objects.filter(pk=event_id).update(version=F("version") + lost)


def sale_pause(*, event_id: int, paused: bool, now: datetime) -> int:
    """Pause or resume the sale of an event's ticket types; return how many have changed.

    The flag is on the inventory rows, which every claim locks. So a claim that waited when the pause committed is
    refused. `event_rules.resumed` says which types stay paused.
    """
    event = event_lock(event_id=event_id)
    if event is None or (event.status != EventStatus.ON_SALE and not paused):
        return 0
    count = _pause(event_id=event_id) if paused else _resume(event_id=event_id, now=now)
    if count:
        event_changed(event_id=event_id, now=now)
    return count


def event_status_set(*, event: Event, status: EventStatus, now: datetime) -> None:
    """Change the status of a locked event. Resume its ticket types if it goes on sale, otherwise pause them.

    A claim that waits for an inventory sees the pause, and is refused.
    """
    if status != EventStatus.ON_SALE:
        _pause(event_id=event.pk)
    Event.objects.filter(pk=event.pk).update(status=status)
    event.status = status
    if status == EventStatus.ON_SALE:
        _resume(event_id=event.pk, now=now)
    event_changed(event_id=event.pk, now=now)
    if status == EventStatus.CANCELLED:
        calendar_version_raise(event_id=event.pk)
    if status == EventStatus.DRAFT:
        db.after_commit(partial(projections.announce_deleted, event_id=event.pk, now=now))


def _pause(*, event_id: int) -> int:
    """Pause those ticket types of an event that are not paused; return how many."""
    operations.inventories_lock(event_id=event_id)
    on = Inventory.objects.filter(ticket_type__event_id=event_id, paused=False)
    return on.update(paused=True, paused_alone=False, version=F("version") + 1)


def _resume(*, event_id: int, now: datetime) -> int:
    """Resume the ticket types that `event_rules.resumed` returns; return how many."""
    operations.inventories_lock(event_id=event_id)
    types = event_rules.resumed(event_selectors.pauses(event_id=event_id), now=now)
    return Inventory.objects.filter(pk__in=types).update(paused=False, version=F("version") + 1)
