"""The forms of an event on the organiser's pages: those of the admin, with a line on each field."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from overlord.kernel.form_fields import DateAndTime
from tickets.admin_forms import EventForm, TicketTypeForm, TicketTypeFormSet
from tickets.models import Event, TicketType
from tickets.rules import Buyers, Opening

TYPE_FIELDS = ("name", "price", "capacity", "max_per_user", "opens_at", "closes_at", "paused", "hidden")
TYPE_TEXTS = {
    "name": (_("Name"), _("For example Regular, VIP or Reduced.")),
    "price": (_("Price"), _("For example 15.00; 0 for a free ticket.")),
    "capacity": (_("Capacity"), _("How many tickets of this type there are.")),
    "max_per_user": (_("Limit per person"), _("How many of them one person may have.")),
    "opens_at": (_("Sale opens"), _("Empty: at once.")),
    "closes_at": (_("Sale closes"), _("Empty: when the event begins.")),
    "paused": (_("Pause the sale"), _("Nobody can reserve tickets of this type until you resume it.")),
    "hidden": (
        _("Hide from buyers"),
        _("Buyers do not see this type and cannot reserve it. Staff can sell it."),
    ),
}


class OfficeEventForm(EventForm):
    """An event."""

    class Meta:
        model = Event
        fields = (
            "name",
            "venue",
            "address",
            "date",
            "ends_at",
            "time_zone",
            "currency",
            "description",
            "buyers",
            "opening",
        )
        field_classes = {"date": forms.SplitDateTimeField, "ends_at": forms.SplitDateTimeField}
        widgets = {
            "date": DateAndTime,
            "ends_at": DateAndTime,
            "description": forms.Textarea(attrs={"rows": 8}),
            "currency": forms.TextInput(attrs={"autocapitalize": "characters"}),
        }
        labels = {
            "name": _("Name"),
            "venue": _("Venue"),
            "address": _("Address"),
            "date": _("Begins"),
            "ends_at": _("Ends"),
            "currency": _("Currency"),
            "description": _("Description"),
            "buyers": _("Who may buy"),
            "opening": _("How the sale opens"),
        }
        help_texts = {
            "name": _("As it appears on tickets and in the list of events."),
            "venue": _("The name of the place, for example Town Hall. May be empty."),
            "address": _("Street, postcode and town, as people enter them in a map. May be empty."),
            "date": _("Sales end then, unless a ticket type says otherwise."),
            "ends_at": _("May be empty."),
            "currency": _("Three letters, for example EUR. Fixed once tickets were reserved."),
            "description": _(
                "What people should know. An empty line begins a paragraph, **two stars** make text bold, a line"
                " that begins with - is a point of a list, and [words](https://example.org) are a link."
            ),
            "buyers": _("Without an account, an e-mail address is enough."),
            "opening": _(
                "With a draw, people enter a lobby before the opening, and a draw decides who is first."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone, buyers, opening = (self.fields[name] for name in ("time_zone", "buyers", "opening"))
        zone.label = _("Time zone")
        zone.help_text = _("All times on this page, and on the event's pages, are in this time zone.")
        buyers.choices = [  # type: ignore[attr-defined]
            (Buyers.ANYONE.value, _("Anyone")),
            (Buyers.ACCOUNTS.value, _("People with an account")),
        ]
        opening.choices = [  # type: ignore[attr-defined]
            (Opening.DIRECT.value, _("Directly: first come, first served")),
            (Opening.DRAW.value, _("By a draw")),
        ]


class OfficeTypeForm(TicketTypeForm):
    """A ticket type with what is decided about its sale."""

    opens_at = forms.SplitDateTimeField(required=False, widget=DateAndTime)
    closes_at = forms.SplitDateTimeField(required=False, widget=DateAndTime)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (label, hint) in TYPE_TEXTS.items():
            self.fields[name].label, self.fields[name].help_text = label, hint
        if self.fields["paused"].disabled:
            self.fields["paused"].widget = forms.HiddenInput()


def types_of(event: Event, data: Any, *, may_pause: bool) -> Any:
    """Return the forms of an event's ticket types, with an empty one for another type."""
    is_first = event.pk is None
    formset_class = forms.inlineformset_factory(
        Event,
        TicketType,
        form=OfficeTypeForm,
        formset=TicketTypeFormSet,
        fields=TYPE_FIELDS,
        extra=1,
        can_delete=not is_first,
    )
    formset: Any = formset_class(data, instance=event)
    formset.may_pause = may_pause
    return formset
