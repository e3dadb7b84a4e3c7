"""Save the valid forms of an event and its ticket types, inside an open transaction.

The admin and the organiser's pages both save with these steps.
"""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop

from tickets import event_operations, operations
from tickets.admin_forms import EventForm, TicketTypeForm
from tickets.event_rules import EventStatus, PlaceAndTime
from tickets.models import Event

COLUMNS = {"name": "name", "max_per_user": "max_per_user", "price": "price_minor", "hidden": "hidden"}
DECIDED = ("capacity", "opens_at", "closes_at", "paused")  # the fields that are stored in the inventory
# Buyers get a mail if one of these changes, unless the event is cancelled: a cancelled event does not take place.
TOLD = {"date", "time_zone", "venue", "address"}
IN_CALENDARS = {*TOLD, "ends_at", "name"}
# Sentences for staff when the database refuses a valid form, because another person was quicker.
SENTENCES = {
    "inventory_never_oversold": "A capacity is lower than the number of tickets that are reserved or sold.",
    "inventory_opens_before_it_closes": "A sale must open before it closes.",
    "ticket_type_unique_in_event": "Two ticket types of an event cannot have the same name.",
    "event_currency_fixed": (
        "The currency can no longer be changed, because tickets have been reserved in the meantime."
    ),
}
TYPE_RESERVED = gettext_noop(
    "A ticket type can no longer be deleted, because tickets of this type have been reserved in the meantime."
)


def event_write(*, form: EventForm, now: datetime) -> None:
    """Save a new event, or the fields that the form changed.

    Sales that end when the event begins move to a later date here. `edit_finish` moves them to an earlier one.
    """
    event: Event = form.instance
    if event._state.adding:
        event.save()
        return
    operations.inventories_lock(event_id=event.pk)  # by id, as claims lock them
    changed = {*form.changed_data} | ({"ends_at"} if form.end_moved is not None else set())
    event.save(update_fields=changed)
    if "date" in changed:
        form.moved_from = form.initial["date"]
        if event.date > form.initial["date"]:
            _sales_move(form)
    if changed & IN_CALENDARS:
        event_operations.calendar_version_raise(event_id=event.pk)
    if changed & TOLD and event.status != EventStatus.CANCELLED:
        before = PlaceAndTime(**{name: form.initial[name] for name in sorted(TOLD)})
        event_operations.move_notices_owe(event_id=event.pk, before=before, now=now)


def types_write(*, form: EventForm, formset: Any) -> None:
    """Save the ticket types of an event; raise ProtectedError if a type to delete was reserved meanwhile.

    `form` is the form of the event. Its `ends_set` gets the ids of the types for which the author entered an end of
    the sale.
    """
    formset.save(commit=False)
    for deleted in formset.deleted_objects:
        event_operations.ticket_type_delete(ticket_type=deleted)
    to_save = [each for each in formset.forms if each.is_to_save()]
    renamed = [each for each in to_save if each.instance.pk and "name" in each.changed_fields()]
    event_operations.type_names_free(ticket_types=[each.instance.pk for each in renamed])
    for each in to_save:
        _type_write(each, is_new=each.instance._state.adding)
        if "closes_at" in each.changed_fields() and each.cleaned_data["closes_at"] is not None:
            form.ends_set.add(each.instance.pk)


def edit_finish(*, form: EventForm, now: datetime) -> None:
    """Finish an edit after the event and its types were saved, and announce the event."""
    if form.moved_from is not None:
        _sales_move(form)
    if "opening" in form.changed_data:
        event_operations.opening_set(event=form.instance)
    event_operations.event_changed(event_id=form.instance.pk, now=now)


def _sales_move(form: EventForm) -> None:
    """Let each sale that ends when the event begins end at the event's new date.

    A sale must open before it ends, also between two statements. So if the new date is later, the ends are written
    before the openings, and otherwise after them. An end that the same edit has set stays, even if it equals the
    former date.
    """
    before, form.moved_from = form.moved_from, None
    assert before is not None  # noqa: S101
    event_operations.sale_ends_move(
        event_id=form.instance.pk, before=before, after=form.instance.date, kept=form.ends_set
    )


def _type_write(form: TicketTypeForm, *, is_new: bool) -> None:
    """Save a new ticket type, or only the fields that the form changed."""
    ticket_type, changed = form.instance, form.changed_fields()
    ticket_type.price_minor = form.cleaned_data["price"]
    if is_new:
        ticket_type.save()
    else:
        ticket_type.save(update_fields=[COLUMNS[name] for name in changed if name in COLUMNS])
        if "hidden" in changed:
            event_operations.ticket_type_hidden_set(ticket_type=ticket_type)
    decided = {name: form.cleaned_data[name] for name in DECIDED if is_new or name in changed}
    if decided:
        event_operations.inventory_set(ticket_type=ticket_type, **decided)
