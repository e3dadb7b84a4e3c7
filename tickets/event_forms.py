"""The forms of an event on the organiser's pages: the forms of the admin, with a hint for each field."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from overlord.kernel.form_fields import DateAndTimeField, TimeZoneField
from tickets import event_edits
from tickets.admin_forms import EventForm, TicketTypeForm, TicketTypeFormSet
from tickets.models import Event, TicketType, default_time_zone

TYPE_FIELDS = ("name", "price", "capacity", "paused", "max_per_user", "opens_at", "closes_at", "hidden")
TYPE_TEXTS = {
    "name": (_("Name"), _("For example Regular, VIP or Reduced.")),
    "price": (_("Price"), _("For example 15.00 or 15,00; 0 for a free ticket.")),
    "capacity": (_("Capacity"), _("How many tickets of this type there are.")),
    "max_per_user": (_("Limit per person"), _("How many tickets of this type one person may have.")),
    "opens_at": (_("Sale opens"), _("Leave this field empty to open the sale immediately.")),
    "closes_at": (_("Sale closes"), _("Leave this field empty to close the sale when the event begins.")),
    "paused": (_("Pause the sale"), _("Nobody can reserve tickets of this type while this box is ticked.")),
    "hidden": (
        _("Hide from buyers"),
        _(
            "Buyers do not see this ticket type. They can reserve it only with a code for this type."
            " Staff can sell it."
        ),
    ),
}
LEFT_IN_THE_PAST = _("This time is in the past. Change it before you put the event on sale.")


class Folded(forms.BaseForm):
    """A form that shows its first fields and folds the others, which most people leave as they are."""

    folded: Sequence[str]

    def first(self) -> list[BoundField]:
        """Return the fields that are always shown, and the hidden ones."""
        return [field for field in self if field.name not in self.folded]

    def rest(self) -> list[BoundField]:
        """Return the fields that are folded."""
        return [field for field in self if field.name in self.folded]

    def is_unfolded(self) -> bool:
        """Return whether to show the folded fields: one of them has a mistake or an unusual value."""
        return any(
            field.errors or _shown(field.value()) != _shown(field.field.initial) for field in self.rest()
        )


def _shown(value: Any) -> str:
    """Return a field's value as a text to compare. In a sent form, the value of a date is a list of two texts."""
    is_empty = not any(value) if isinstance(value, list) else value in (None, False)
    return "" if is_empty else str(value).strip()


class OfficeEventForm(Folded, EventForm):
    """The organiser's form of an event.

    A draft may keep a date that has passed, for example if it is the copy of an earlier event. A note beside the
    field says so. A new date in the past is refused, unless it corrects the date of an event that has begun.
    """

    folded = ("ends_at", "address", "currency", "description", "buyers", "opening")

    time_zone = TimeZoneField(  # type: ignore[assignment]  # in the admin it is a select
        label=_("Time zone"),
        initial=default_time_zone,
        help_text=_("All times are in this time zone. Type a city to find its time zone."),
    )

    class Meta:
        model = Event
        fields = (
            "name",
            "venue",
            "date",
            "time_zone",
            "ends_at",
            "address",
            "currency",
            "description",
            "buyers",
            "opening",
        )
        field_classes = {"date": DateAndTimeField, "ends_at": DateAndTimeField}
        widgets = {
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
            "name": _("The name as it appears on tickets and in the list of events."),
            "venue": _("The name of the place, for example Town Hall. Optional."),
            "address": _("Street, postcode and town, as people enter them in a map. Optional."),
            "date": _("Ticket sales end at this time, unless you set another time for a ticket type."),
            "ends_at": _("Optional. If you change only the beginning, the end moves by the same time."),
            "currency": _(
                "Three letters, for example EUR. You cannot change the currency after tickets have been"
                " reserved."
            ),
            "description": _(
                "All that people should know. An empty line begins a new paragraph. Write **two stars**"
                " around words to make them bold, a hyphen (-) before each point of a list, and"
                " [words](https://example.org) for a link."
            ),
            "buyers": _("People without an account need only an e-mail address."),
            "opening": _(
                "With a draw, people join a line before the sale opens. The draw then decides who gets"
                " tickets first."
            ),
        }

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = now
        if self._is_draft():
            _note_past(self, "date", self.instance.date)
        for name, words in event_edits.CHOICES.items():
            self.fields[name].choices = [*words.items()]  # type: ignore[attr-defined]

    def _is_draft(self) -> bool:
        return bool(self.instance.status == Event.Status.DRAFT)

    def _has_begun(self) -> bool:
        return not self._is_draft() and bool(self.initial["date"] <= self.now)

    def clean_date(self) -> datetime:
        date = super().clean_date()
        if "date" in self.changed_data and date <= self.now and not self._has_begun():
            raise forms.ValidationError(
                _(
                    "This time is in the past. Choose a time in the future, so that tickets can be sold before it."
                )
            )
        return date


class OfficeTypeForm(Folded, TicketTypeForm):
    """The form of a ticket type and its sale. In a draft, a past end of the sale is treated like a past date."""

    folded = ("max_per_user", "opens_at", "closes_at", "hidden")

    opens_at = DateAndTimeField(required=False)
    closes_at = DateAndTimeField(required=False)

    def __init__(self, *args: Any, now: datetime, number: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now, self.number = now, number
        if self.event.status == Event.Status.DRAFT:
            _note_past(self, "closes_at", self.initial.get("closes_at"))
        for name, (label, hint) in TYPE_TEXTS.items():
            self.fields[name].label, self.fields[name].help_text = label, hint
        if self.fields["paused"].disabled:
            self.fields["paused"].widget = forms.HiddenInput()

    def title(self) -> str:
        """Return the heading of this type: its number on the page, and its name if that was not refused."""
        if not self.instance.name:
            return gettext("Ticket type %(number)s") % {"number": self.number}
        facts = {"number": self.number, "name": self.instance.name}
        return gettext("Ticket type %(number)s (%(name)s)") % facts

    def clean_closes_at(self) -> datetime | None:
        closes_at = super().clean_closes_at()
        is_draft = self.event.status == Event.Status.DRAFT
        if is_draft and closes_at is not None and "closes_at" in self.changed_data and closes_at <= self.now:
            raise forms.ValidationError(_("This time is in the past, so the sale would already be over."))
        return closes_at


def _note_past(form: forms.ModelForm, name: str, instant: datetime | None) -> None:
    """Note beside a field that its time has passed, as long as the author of the form does not change it."""
    now: datetime = form.now  # type: ignore[attr-defined]

    def note() -> str:
        is_left = not form.is_bound or name not in form.changed_data
        return str(LEFT_IN_THE_PAST) if is_left else ""

    if instant is not None and instant <= now:
        form.fields[name].note = note  # type: ignore[attr-defined]  # the template calls it, after the form was read


class OfficeTypeFormSet(TicketTypeFormSet):
    """The forms of the ticket types of one event."""

    now: datetime

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "now": self.now, "number": (index or 0) + 1}


def types_of(event: Event, data: Any, *, may_pause: bool, now: datetime) -> Any:
    """Return the forms of an event's ticket types, with an empty form for a new type."""
    is_first = event.pk is None
    formset_class = forms.inlineformset_factory(
        Event,
        TicketType,
        form=OfficeTypeForm,
        formset=OfficeTypeFormSet,
        fields=TYPE_FIELDS,
        extra=1,
        can_delete=not is_first,
    )
    formset: Any = formset_class(data, instance=event)
    formset.may_pause, formset.now = may_pause, now
    return formset
