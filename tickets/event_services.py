"""Use cases of organisers: edit, copy and publish events, and set their pictures. Transactions open here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F, ProtectedError
from django.http import QueryDict
from django.utils.translation import gettext as _

from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.shop import operations, pictures
from tickets import event_edits, event_operations, event_rules, event_saving, event_selectors
from tickets import operations as tickets
from tickets.event_forms import OfficeEventForm, types_of
from tickets.event_rules import EventOutdated, EventStatus, SaleOfType
from tickets.models import Event, Inventory, TicketType
from tickets.rules import Opening

PRUNED_AFTER = timedelta(hours=1)  # the change that adds a younger picture may not be saved yet


@dataclass(frozen=True, kw_only=True)
class EventForms:
    """The forms of an event and its ticket types. `saved` is the event's id after a save, and None before."""

    event: OfficeEventForm
    types: Any
    saved: int | None = None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The version of a draft, for the form that puts it on sale, and the reasons why it cannot go on sale."""

    version: int
    obstacles: list[str]


def event_forms(
    *, event_id: int | None, data: QueryDict | None = None, may_pause: bool, now: datetime
) -> EventForms:
    """Return the forms of an event, or of a new one. `data` has the sent values, if any. Raise NotFound."""
    event = Event(status=EventStatus.DRAFT) if event_id is None else Event.objects.filter(pk=event_id).first()
    if event is None:
        raise NotFound()
    return _forms(event, data, may_pause=may_pause, now=now)


def event_save(
    *, staff_id: int, event_id: int | None, data: QueryDict, may_pause: bool, now: datetime
) -> EventForms:
    """Save the sent forms of an event and its ticket types, and return the forms. A new event is a draft.

    Forms with mistakes, and forms of an event that has changed since, save nothing. Raise NotFound.
    """
    try:
        with db.transaction():
            forms = _sent(event_id, data, may_pause=may_pause, now=now)
            if not (forms.event.is_valid() and forms.types.is_valid()):
                return forms
            event_saving.event_write(form=forms.event, now=now)
            event_saving.types_write(form=forms.event, formset=forms.types)
            event_saving.edit_finish(form=forms.event, now=now)
            action = Action.EVENT_MADE if event_id is None else Action.EVENT_EDITED
            journal.entry_add(actor_id=staff_id, action=action, event_id=forms.event.instance.pk, now=now)
    except IntegrityError as error:
        sentence = event_saving.SENTENCES.get(db.violated(error) or "")
        if sentence is None:
            raise
    except ProtectedError:
        sentence = event_saving.TYPE_RESERVED
    else:
        return EventForms(event=forms.event, types=forms.types, saved=forms.event.instance.pk)
    refused = event_forms(event_id=event_id, data=data, may_pause=may_pause, now=now)
    refused.event.add_error(None, _(sentence))
    return refused


def _sent(event_id: int | None, data: QueryDict, *, may_pause: bool, now: datetime) -> EventForms:
    """Lock the event and return its sent forms.

    If the event has changed since the forms were made, the returned forms are not valid. They have the values that
    the sender changed, the event's present values for the rest, and sentences about what others changed.
    """
    if event_id is None:
        return event_forms(event_id=None, data=data, may_pause=may_pause, now=now)
    event = event_operations.event_lock(event_id=event_id)
    if event is None:
        raise NotFound()
    changes, present = event_edits.outdated(event, data) or ((), data)
    forms = _forms(event, present, may_pause=may_pause, now=now)
    forms.event.meanwhile = changes
    return forms


def _forms(event: Event, data: QueryDict | None, *, may_pause: bool, now: datetime) -> EventForms:
    return EventForms(
        event=OfficeEventForm(data, instance=event, now=now),
        types=types_of(event, data, may_pause=may_pause, now=now),
    )


def event_copy(*, staff_id: int, event_id: int, now: datetime) -> int:
    """Make a draft as a copy of an event, with its ticket types, and return its id; raise NotFound."""
    with db.transaction():
        event = event_operations.event_lock(event_id=event_id)  # so that nobody deletes its picture meanwhile
        if event is None:
            raise NotFound()
        types = list(TicketType.objects.filter(event=event).order_by("pk").select_related("inventory"))
        event.pk, event.version, event.status = None, 1, EventStatus.DRAFT
        event._state.adding = True
        event.save()
        for ticket_type in types:
            inventory: Inventory | None = getattr(ticket_type, "inventory", None)
            ticket_type.pk, ticket_type.event = None, event
            ticket_type._state.adding = True
            ticket_type.save()
            if inventory is not None:
                event_operations.inventory_set(
                    ticket_type=ticket_type,
                    capacity=inventory.capacity,
                    opens_at=inventory.opens_at,
                    closes_at=inventory.closes_at,
                )
        copied = int(event.pk)
        event_operations.event_changed(event_id=copied, now=now)
        journal.entry_add(
            actor_id=staff_id, action=Action.EVENT_COPIED, event_id=copied, now=now, source=event_id
        )
    return copied


def event_picture_set(
    *, staff_id: int, event_id: int, version: int, content: bytes | None, now: datetime
) -> None:
    """Set the picture of an event, or remove it if `content` is None.

    Raise PictureRefused, NotFound or EventOutdated.
    """
    files = {} if content is None else pictures.picture_read(content)
    name = pictures.name_of(files) if files else ""
    with db.transaction():
        event = event_operations.event_lock(event_id=event_id)
        if event is None:
            raise NotFound()
        if event.version != version:
            raise EventOutdated()
        before = event.picture
        if name:
            operations.picture_lock(name=name)
            pictures.picture_keep(name, files)
        event_operations.event_picture_set(event=event, picture=name, now=now)
        action = Action.PICTURE_SET if name else Action.PICTURE_REMOVED
        journal.entry_add(actor_id=staff_id, action=action, event_id=event_id, now=now)
    if before not in ("", name):
        picture_forget(name=before)


def picture_forget(*, name: str) -> bool:
    """Delete a picture unless an event or the shop shows it; return whether it was deleted."""
    with db.transaction():
        operations.picture_lock(name=name)
        if event_selectors.is_picture_used(name=name):
            return False
        pictures.picture_delete(name)
        return True


def pictures_prune() -> dict[str, int]:
    """Delete the pictures that neither an event nor the shop shows; return {what: how many}."""
    pictures.unfinished_delete(older_than=PRUNED_AFTER.total_seconds())
    names = list(pictures.names_kept(older_than=PRUNED_AFTER.total_seconds()))
    return {"pictures that no event shows": sum(picture_forget(name=name) for name in names)}


def event_publish(*, staff_id: int, event_id: int, version: int, now: datetime) -> None:
    """Put a draft on sale; raise NotFound, EventOutdated, NotADraft or EventIncomplete."""

    def check(event: Event) -> None:
        event_rules.check_publishable(event.status, **_facts_of_sale(event), now=now)

    _status_set(staff_id, event_id, version, EventStatus.ON_SALE, check, now=now)


def obstacles(*, event: Event, now: datetime) -> list[str]:
    """Return the reasons why a draft cannot go on sale, as sentences in the reader's language."""
    found = event_rules.obstacles(**_facts_of_sale(event), now=now)
    return [_(event_rules.SENTENCES[each]) for each in found]


def draft(*, event_id: int, now: datetime) -> Draft | None:
    """Return what the preview needs to put an event on sale, or None if the event is not a draft."""
    event = Event.objects.filter(pk=event_id, status=EventStatus.DRAFT).first()
    return None if event is None else Draft(version=event.version, obstacles=obstacles(event=event, now=now))


def _facts_of_sale(event: Event) -> dict[str, Any]:
    """Return the facts that decide whether an event can go on sale: the arguments of `event_rules.obstacles`."""
    types = Inventory.objects.filter(ticket_type__event=event).annotate(hidden=F("ticket_type__hidden"))
    sales = [SaleOfType(**each) for each in types.values("capacity", "closes_at", "opens_at", "hidden")]
    return {"date": event.date, "by_draw": event.opening == Opening.DRAW, "sales": sales}


def event_unpublish(*, staff_id: int, event_id: int, version: int, now: datetime) -> None:
    """Make an event a draft again, if nobody ever reserved tickets of it.

    Raise NotFound, EventOutdated, NotOnSale or EventReserved. The inventories are locked before the check, so that
    no claim comes in between.
    """

    def check(event: Event) -> None:
        tickets.inventories_lock(event_id=event.pk)
        event_rules.check_unpublishable(event.status, reserved=event_selectors.is_reserved(event_id=event.pk))

    _status_set(staff_id, event_id, version, EventStatus.DRAFT, check, now=now)


def _status_set(
    staff_id: int,
    event_id: int,
    version: int,
    status: EventStatus,
    check: Callable[[Event], None],
    *,
    now: datetime,
) -> None:
    with db.transaction():
        event = event_operations.event_lock(event_id=event_id)
        if event is None:
            raise NotFound()
        if event.version != version:
            raise EventOutdated()
        check(event)
        event_operations.event_status_set(event=event, status=status, now=now)
        action = Action.EVENT_PUBLISHED if status == EventStatus.ON_SALE else Action.EVENT_UNPUBLISHED
        journal.entry_add(actor_id=staff_id, action=action, event_id=event_id, now=now)
