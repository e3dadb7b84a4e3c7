"""Handle the outdated form of a voucher. `event_edits` does the same for an event.

A form contains the state from which it was made. If somebody else has changed the voucher since, or the currency or
the time zone of its event, nothing is saved. The form is shown again with the present values, but it keeps the
values that its author changed. The form of a new voucher contains only the currency and the time zone of its event.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core import signing
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.kernel.form_fields import WHICH_OF_TWO
from tickets.event_edits import Values, merged, moment_values
from tickets.models import Event, TicketType, Voucher
from tickets.voucher_forms import PRICE_RULES, CodeForm, NewCodeForm, initial_of

SALT = "tickets.voucher_edits"
TYPES = "ticket_types"  # the only field with several values
SWITCH = "opens_early"
ENDED = "ended"  # not a field of the form, but a change of it is reported too
MOMENTS = ("valid_from", "valid_until")
OF_EVENT = {"currency": _lazy("Currency"), "time_zone": _lazy("Time zone")}  # no fields of the form either
FIELDS = (*OF_EVENT, "price_rule", "price_value", SWITCH, TYPES, "most_uses", *MOMENTS, "note")


def form_of(voucher: Voucher, event: Event, types: list[TicketType]) -> CodeForm:
    """Return the form of a voucher as it is now."""
    first = {**initial_of(voucher, currency=event.currency), "made_from": _seal(voucher, event)}
    return CodeForm(initial=first, event=event, types=types, voucher=voucher)


def form_sent(voucher: Voucher, event: Event, types: list[TicketType], data: QueryDict) -> CodeForm:
    """Return the sent form of a voucher. An outdated form is updated, with sentences about what others changed."""
    made_from = _made_from(data)
    before: Values = made_from.get("values", {}) if made_from.get("voucher") == voucher.pk else {}
    if before and made_from["version"] == voucher.version and _is_read_for(event, before):
        return CodeForm(data, event=event, types=types, voucher=voucher)
    now, fresh = _values(voucher, event), data.copy()
    for field in now.keys() - {ENDED, *OF_EVENT}:
        sent = _joined(data.getlist(field)) if field == TYPES else data.get(field, "")
        value = merged(sent, before.get(field), now[field])
        if field == TYPES:
            fresh.setlist(field, value.split(",") if value else [])
        elif value or field != SWITCH:
            fresh[field] = value
        else:
            fresh.pop(field, None)  # a box that is not ticked is not sent
    fresh["made_from"] = _seal(voucher, event)
    form = CodeForm(fresh, event=event, types=types, voucher=voucher)
    changes = list(_changes(before, now, {str(each.pk): each.name for each in types}))
    form.meanwhile = changes or [_("Somebody else saved this code in the meantime, but changed nothing.")]
    return form


def new_form(event: Event, types: list[TicketType], first: Mapping[str, Any]) -> NewCodeForm:
    """Return the form of a new voucher. `first` has the initial values of its fields."""
    return NewCodeForm(initial={**first, "made_from": _new_seal(event)}, event=event, types=types)


def new_form_sent(event: Event, types: list[TicketType], data: QueryDict) -> NewCodeForm:
    """Return the sent form of a new voucher, updated if the event has another currency or time zone now."""
    made_from = _made_from(data)
    before: Values = made_from.get("values", {}) if made_from.get("event") == event.pk else {}
    if _is_read_for(event, before):
        return NewCodeForm(data, event=event, types=types)
    fresh = data.copy()
    fresh["made_from"] = _new_seal(event)
    form = NewCodeForm(fresh, event=event, types=types)
    changes = list(_changes(before, _values_of_event(event), {}))
    form.meanwhile = changes or [
        _("Somebody has changed this event since you opened the page. Check the event again.")
    ]
    return form


def _new_seal(event: Event) -> str:
    return signing.dumps({"event": event.pk, "values": _values_of_event(event)}, salt=SALT, compress=True)


def _values_of_event(event: Event) -> Values:
    """Return the currency and the time zone in which amounts and times of an event's vouchers are written."""
    return {name: getattr(event, name) for name in OF_EVENT}


def _is_read_for(event: Event, values: Values) -> bool:
    """Return whether a form with these values was made for the event's present currency and time zone."""
    now = _values_of_event(event)
    return {name: values.get(name) for name in now} == now


def _seal(voucher: Voucher, event: Event) -> str:
    """Return the present state of a voucher as a signed text, for the hidden field of a form."""
    made_from = {"voucher": voucher.pk, "version": voucher.version, "values": _values(voucher, event)}
    return signing.dumps(made_from, salt=SALT, compress=True)


def _made_from(data: QueryDict) -> Mapping[str, Any]:
    """Return the state from which a sent form was made, or an empty one if its signature is wrong."""
    try:
        found: Mapping[str, Any] = signing.loads(data.get("made_from", ""), salt=SALT)
    except signing.BadSignature:
        return {}
    return found


def _values(voucher: Voucher, event: Event) -> Values:
    """Return the values that a form of the voucher shows now, and whether the voucher has ended."""
    shown = initial_of(voucher, currency=event.currency)
    plain = {name: str(shown[name] or "") for name in ("price_rule", "price_value", "most_uses", "note")}
    return {
        **_values_of_event(event),
        **plain,
        SWITCH: "on" if voucher.opens_early else "",
        TYPES: _joined([str(pk) for pk in shown[TYPES]]),
        **moment_values("valid_from", voucher.valid_from, event),
        **moment_values("valid_until", voucher.valid_until, event),
        ENDED: "yes" if voucher.ended_at else "",
    }


def _joined(values: list[str]) -> str:
    return ",".join(sorted(values))


def _changes(before: Values, now: Values, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each difference between two states of a voucher; none if the first one is unknown."""
    if not before:
        return
    if before.get(ENDED) != now.get(ENDED):
        yield _("The code can no longer be used.") if now[ENDED] else _("The code can be used again.")
    for field in FIELDS:
        first = f"{field}_0" if field in MOMENTS else field
        if first not in before or first not in now:
            continue
        was, is_now = _words(field, before, names), _words(field, now, names)
        if was != is_now:
            what = OF_EVENT.get(field) or CodeForm.base_fields[field].label
            yield (
                _("%(what)s changed from %(before)s to %(now)s.")
                % {"what": what, "before": was, "now": is_now}
            )


def _words(field: str, values: Values, names: Mapping[str, str]) -> str:
    """Return the value of a field as people read it."""
    if field in MOMENTS:
        which = WHICH_OF_TWO.get(values.get(f"{field}_2", ""), "")
        return f"{values[f'{field}_0']} {values[f'{field}_1']} {which}".strip() or _("empty")
    value = values[field]
    if field == "price_rule":
        return str(dict(PRICE_RULES)[value])
    if field == SWITCH:
        return _("on") if value else _("off")
    if field == TYPES:
        return ", ".join(names.get(pk, pk) for pk in value.split(",") if pk) or _(
            "all ticket types that buyers see"
        )
    return value or _("empty")
