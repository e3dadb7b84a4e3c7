"""Handle the outdated form of an event: find what others changed since it was made, and update the form.

A form contains the state from which it was made: the event's version, and all values as its fields show them. If
somebody else has edited the event since, nothing is saved. The form is shown again with the present values, but it
keeps the values that its author changed. So if it is sent again, it changes only what its author wanted to change.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core import signing
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.kernel import money
from overlord.kernel.form_fields import DATE_FORMAT, TIME_FORMAT, WHICH_OF_TWO, which_of_two
from tickets.models import Event, Inventory, TicketType
from tickets.rules import Buyers, Opening

# The text that each field shows, by field. A field is "name", or "12:price" for the price of ticket type 12.
Values = dict[str, str]

PREFIX = "ticket_types"  # of the inline forms
SALT = "tickets.event_edits"
MOST_ROWS = 1000  # ticket types in one form; Django takes no more
LABELS = {  # as on the organiser's form, for fields whose names do not say enough
    "max_per_user": "Limit per person",
    "paused": "Pause",
    "hidden": "Hide from buyers",
    "ends_at": "Ends",
    "opens_at": "Sale opens",
    "closes_at": "Sale closes",
    "buyers": "Who may buy",
    "opening": "How the sale opens",
}
SWITCHES = ("paused", "hidden")
CHOICES: dict[str, dict[str, Any]] = {  # by field, the values and their words
    "buyers": {
        Buyers.ANYONE.value: _lazy("Anyone"),
        Buyers.ACCOUNTS.value: _lazy("People with an account"),
    },
    "opening": {
        Opening.DIRECT.value: _lazy("Directly: first come, first served"),
        Opening.DRAW.value: _lazy("By a draw"),
    },
}
TYPE_FIELDS = (
    "name",
    "price",
    "capacity",
    "max_per_user",
    "opens_at_0",
    "opens_at_1",
    "opens_at_2",
    "closes_at_0",
    "closes_at_1",
    "closes_at_2",
    "paused",
    "hidden",
)


def values_of(event: Event) -> Values:
    """Return the values that a form of the event shows now."""
    shown = {
        "name": event.name,
        "venue": event.venue,
        "address": event.address,
        "time_zone": event.time_zone,
        "currency": event.currency,
        "opening": event.opening,
        "description": event.description,
        "buyers": event.buyers,
        **moment_values("date", event.date, event),
        **moment_values("ends_at", event.ends_at, event),
    }
    for ticket_type in TicketType.objects.filter(event=event).order_by("pk").select_related("inventory"):
        for field, value in _type_values(ticket_type, event).items():
            shown[f"{ticket_type.pk}:{field}"] = value
    return shown


def _type_values(ticket_type: TicketType, event: Event) -> Values:
    inventory = getattr(ticket_type, "inventory", None) or Inventory(capacity=0, closes_at=event.date)
    closes_at = None if inventory.closes_at == event.date else inventory.closes_at
    return {
        "name": ticket_type.name,
        "price": money.to_text(ticket_type.price_minor, event.currency),
        "capacity": str(inventory.capacity),
        "max_per_user": str(ticket_type.max_per_user),
        **moment_values("opens_at", inventory.opens_at, event),
        **moment_values("closes_at", closes_at, event),
        "paused": "on" if inventory.paused else "",
        "hidden": "on" if ticket_type.hidden else "",
    }


def moment_values(name: str, instant: datetime | None, event: Event) -> Values:
    """Return an instant as the inputs of a form show it, in the event's time zone.

    The inputs are a date, a time, and which of two equal times is meant when clocks go back.
    """
    local = instant.astimezone(ZoneInfo(event.time_zone)).replace(microsecond=0) if instant else None
    return {
        f"{name}_0": local.strftime(DATE_FORMAT) if local else "",
        f"{name}_1": local.strftime(TIME_FORMAT) if local else "",
        f"{name}_2": which_of_two(local) if local else "",
    }


def seal(event: Event) -> str:
    """Return the present state of an event as a signed text, for the hidden field of a form."""
    made_from = {"event": event.pk, "version": event.version, "values": values_of(event)}
    return signing.dumps(made_from, salt=SALT, compress=True)


def outdated(event: Event, data: QueryDict) -> tuple[list[str], QueryDict] | None:
    """Compare a sent form with its locked event; return None if the form is up to date.

    Otherwise return sentences about what others changed, and an updated form.
    """
    try:
        made_from = signing.loads(data.get("made_from", ""), salt=SALT)
    except signing.BadSignature:
        made_from = {}
    if (made_from.get("event"), made_from.get("version")) == (event.pk, event.version):
        return None
    before: Values = made_from.get("values", {}) if made_from.get("event") == event.pk else {}
    now = values_of(event)
    sentences = list(_changes(before, now)) or [
        _("The event was changed in the meantime, but this form does not show what was changed.")
    ]
    return sentences, _updated_form(data, before, now, event=event, made_from=seal(event))


def _changes(before: Values, now: Values) -> Iterator[str]:
    """Yield a sentence for each difference between two states of an event."""
    names = {**_type_names(before), **_type_names(now)}
    for type_id, name in names.items():
        if type_id not in _type_names(now):
            yield _("Ticket type %(name)s was deleted.") % {"name": name}
        elif type_id not in _type_names(before):
            yield _("Ticket type %(name)s was added.") % {"name": name}
    for key in now:
        if key in before and before[key] != now[key]:
            type_id, _colon, field = key.rpartition(":")
            label = field.rpartition("_")[0] if field[-2:] in ("_0", "_1", "_2") else field
            if field.endswith("_2") and not (before[key] and now[key]):
                continue  # the date or the time has changed too, and that is said
            subject = _(LABELS.get(label, label.replace("_", " ").capitalize()))
            was, is_now = (_words(label, values[key]) for values in (before, now))
            facts = {"before": was, "now": is_now, "name": names.get(type_id, "")}
            text = _("%(what)s of %(name)s changed from %(before)s to %(now)s.")
            if not type_id:
                text = _("%(what)s changed from %(before)s to %(now)s.")
            yield text % {"what": subject, **facts}


def _words(label: str, value: str) -> str:
    """Return the value of a field as people read it."""
    if label in SWITCHES:
        return _("on") if value else _("off")
    words = CHOICES.get(label, WHICH_OF_TWO)
    return str(words.get(value, value)) or _("empty")


def _type_names(values: Values) -> dict[str, str]:
    return {key.partition(":")[0]: value for key, value in values.items() if key.endswith(":name")}


def _updated_form(data: QueryDict, before: Values, now: Values, *, event: Event, made_from: str) -> QueryDict:
    """Return the form with the present values. Values that its author changed stay, and so do new rows."""
    fresh = data.copy()
    for name in [name for name in fresh if name.startswith(f"{PREFIX}-")]:
        del fresh[name]
    for field in (key for key in now if ":" not in key):
        fresh[field] = merged(data.get(field, ""), before.get(field), now[field])
    sent = _sent_rows(data)
    known = {row["id"]: row for row in sent if row["id"]}
    rows = [_merged_row(type_id, known.get(type_id), before, now) for type_id in _type_names(now)]
    rows += [row for row in sent if not row["id"]]
    for nth, row in enumerate(rows):
        for field, value in {**row, "event": str(event.pk)}.items():
            if value or field not in (*SWITCHES, "DELETE"):
                fresh[f"{PREFIX}-{nth}-{field}"] = value
    fresh[f"{PREFIX}-TOTAL_FORMS"] = str(len(rows))
    fresh[f"{PREFIX}-INITIAL_FORMS"] = str(len(_type_names(now)))
    fresh["made_from"] = made_from
    return fresh


def _sent_rows(data: QueryDict) -> list[Values]:
    """Return the sent rows of ticket types. In the row of a new type, `id` is empty."""
    total = data.get(f"{PREFIX}-TOTAL_FORMS", "")
    count = min(int(total), MOST_ROWS) if total.isascii() and total.isdigit() and len(total) < 9 else 0
    return [
        {field: data.get(f"{PREFIX}-{nth}-{field}", "") for field in ("id", *TYPE_FIELDS, "DELETE")}
        for nth in range(count)
    ]


def _merged_row(type_id: str, sent: Values | None, before: Values, now: Values) -> Values:
    """Return the row of a ticket type that exists: its present values, with the changes of the form's author."""
    row = {"id": type_id, "DELETE": sent["DELETE"] if sent else ""}
    for field in TYPE_FIELDS:
        key = f"{type_id}:{field}"
        row[field] = merged(sent[field], before.get(key), now[key]) if sent else now[key]
    return row


def merged(sent: str, before: str | None, now: str) -> str:
    """Return the sent value if the form's author changed it, and otherwise the present value."""
    is_changed = before is not None and sent.replace("\r\n", "\n") != before
    return sent if is_changed else now
