"""The forms of an event and its ticket types in the admin. Staff write prices as 15.00 or 15,00."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.kernel import money, texts, time_zones
from overlord.kernel.form_fields import DateAndTimeField, LongSelect, WholeNumberField, use_iso_formats, wrong
from tickets import event_edits, event_rules, event_selectors, rules
from tickets.models import Event, Inventory, TicketType, default_time_zone
from tickets.rules import Opening


def _read(convert: Callable[[], Any]) -> Any:
    """Return what `convert` returns. If it raises ValueError, raise ValidationError with the same sentence.

    The form shows this sentence beside the field.
    """
    try:
        return convert()
    except ValueError as error:
        raise forms.ValidationError(wrong(error)) from None


class MadeFromField(forms.CharField):
    """A hidden field with the sealed state of the event at the time when the form was made."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return False, because nobody edits this field."""
        return False


class EventForm(forms.ModelForm):
    """The form of an event. It contains the state from which it was made, so that an outdated form is refused."""

    meanwhile: Sequence[str] = ()  # sentences about what others changed since the form was made
    may_change_types = True
    moved_from: datetime | None = None  # the former date, until the sales that end at this date are moved too
    end_moved: datetime | None = None  # the new end, if it moves with the beginning
    ends_set: set[int]  # the ids of the ticket types for which the author entered an end of the sale

    made_from = MadeFromField(required=False)
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=lambda: [(name, name) for name in time_zones.names()],
        initial=default_time_zone,
        widget=LongSelect,
        help_text="Dates and times on this page and on the event's pages are in this time zone.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends_set = set()
        use_iso_formats(self.fields)
        if self.instance.pk and not self.is_bound:
            self.initial["made_from"] = event_edits.seal(self.instance)

    def clean(self) -> dict[str, Any] | None:
        if self.meanwhile:
            self.add_error(
                None, _("Nothing was saved, because somebody else has changed this event in the meantime.")
            )
            for sentence in self.meanwhile:
                self.add_error(None, sentence)
            self.add_error(None, _("Your own changes are still in the form. Check them and save again."))
        return super().clean()

    def clean_name(self) -> str:
        return str(_read(lambda: texts.one_line(self.cleaned_data["name"], most=rules.NAME_LENGTH)))

    def clean_venue(self) -> str:
        return self._optional_line("venue", most=event_rules.VENUE_LENGTH)

    def clean_address(self) -> str:
        return self._optional_line("address", most=event_rules.ADDRESS_LENGTH)

    def _optional_line(self, name: str, *, most: int) -> str:
        text = self.cleaned_data[name]
        return str(_read(lambda: texts.one_line(text, most=most))) if text.strip() else ""

    def clean_description(self) -> str:
        text = self.cleaned_data["description"]
        return str(_read(lambda: texts.paragraphs(text, most=rules.DESCRIPTION_LENGTH)))

    def clean_date(self) -> datetime:
        date: datetime = self.cleaned_data["date"]
        _read(lambda: rules.check_instant(date))
        before = self.initial.get("date")
        if self.instance.pk and not self.may_change_types and before is not None:
            self._check_sales_end_in_time(date, before=before)
        return date

    def _check_sales_end_in_time(self, date: datetime, *, before: datetime) -> None:
        """Refuse an earlier date if the sale of a ticket type would then end after the event begins.

        This is for people who may not change ticket types. All others get the error beside the type, and can enter
        another end there.
        """
        late = event_selectors.types_closing_between(event_id=self.instance.pk, after=date, before=before)
        if late:
            sentence = _(
                "The event would begin before the sale of %(name)s ends. Choose a later date. Or ask somebody"
                " with the permission to change ticket types: this sale must end earlier."
            )
            raise forms.ValidationError(sentence % {"name": late[0]})

    def clean_opening(self) -> str:
        opening: str = self.cleaned_data["opening"]
        is_new_draw = opening == Opening.DRAW and "opening" in self.changed_data
        if is_new_draw and self.instance.status == Event.Status.ON_SALE and not self.may_change_types:
            self._check_opening_time_is_set()
        return opening

    def _check_opening_time_is_set(self) -> None:
        if self.instance.pk and event_selectors.is_without_opening_time(event_id=self.instance.pk):
            sentence = _(
                "An event that opens by a draw needs a time when the sale opens. You cannot set this time,"
                " because you do not have permission to change ticket types."
            )
            raise forms.ValidationError(sentence)

    def clean_ends_at(self) -> datetime | None:
        given: datetime | None = self.cleaned_data["ends_at"]
        if given is None:
            return None
        begins = self.cleaned_data.get("date")
        ends_at = given if begins is None else self._end_moved(given, date=begins)
        _read(lambda: rules.check_instant(ends_at))
        if begins is not None and ends_at <= begins:
            raise forms.ValidationError(_("An event must end after it begins."))
        self.end_moved = ends_at if ends_at != given else None
        return ends_at

    def _end_moved(self, ends_at: datetime, *, date: datetime) -> datetime:
        began, ended = self.initial.get("date"), self.initial.get("ends_at")
        if began is None or ended is None:
            return ends_at
        return event_rules.end_moved(
            before=(began, ended),
            before_in=ZoneInfo(self.initial["time_zone"]),
            date=date,
            ends_at=ends_at,
            now_in=timezone.get_current_timezone(),
        )

    def clean_currency(self) -> str:
        currency = self.cleaned_data["currency"].upper()
        if not money.is_currency(currency):
            raise forms.ValidationError(
                _("Enter a currency code of three letters (ISO 4217), for example EUR.")
            )
        before = self.initial.get("currency")
        if self.instance.pk and currency != before:
            self._check_currency_may_change(before)
        return currency

    def _check_currency_may_change(self, before: str | None) -> None:
        if event_selectors.is_reserved(event_id=self.instance.pk):
            sentence = _(
                "The currency can no longer be changed, because tickets were reserved in %(currency)s."
            )
            raise forms.ValidationError(sentence % {"currency": before})
        if event_selectors.has_codes_with_amounts(event_id=self.instance.pk):
            sentence = _(
                "The currency cannot be changed, because this event has codes with amounts in %(currency)s."
            )
            raise forms.ValidationError(sentence % {"currency": before})
        if not self.may_change_types:
            sentence = _(
                "You cannot change the currency. This would change all prices, and you do not have"
                " permission to change ticket types."
            )
            raise forms.ValidationError(sentence)


class TicketTypeForm(forms.ModelForm):
    """The form of a ticket type and its sale, which is stored in its inventory."""

    price = forms.CharField(label="Price", max_length=money.TEXT_LENGTH, help_text="For example 15.00.")
    capacity = WholeNumberField(label="Capacity", min_value=0, max_value=rules.LARGEST_AMOUNT)
    max_per_user = WholeNumberField(
        min_value=1, max_value=rules.LARGEST_AMOUNT, initial=10, label="Limit per person"
    )
    opens_at = DateAndTimeField(
        label="Opens at",
        required=False,
        widget=AdminSplitDateTime(),
        help_text="Leave this field empty to open the sale immediately.",
    )
    closes_at = DateAndTimeField(
        label="Closes at",
        required=False,
        widget=AdminSplitDateTime(),
        help_text="Leave this field empty to close the sale when the event begins.",
    )
    paused = forms.BooleanField(label="Paused", required=False)

    class Meta:
        model = TicketType
        fields = ("name", "price", "capacity", "max_per_user", "opens_at", "closes_at", "paused", "hidden")

    def __init__(
        self,
        *args: Any,
        event: Event,
        currency_before: str,
        date_before: datetime | None,
        may_pause: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        use_iso_formats(self.fields)
        self.event, self.currency_before, self.date_before = event, currency_before, date_before
        self.taken = 0  # tickets that are reserved or sold
        self.fields["paused"].disabled = not may_pause or event.status != Event.Status.ON_SALE
        inventory: Inventory | None = getattr(self.instance, "inventory", None)
        if inventory:
            self.taken = inventory.held + inventory.sold
            closes_at = None if inventory.closes_at == date_before else inventory.closes_at
            self.initial.update(
                capacity=inventory.capacity,
                opens_at=inventory.opens_at,
                closes_at=closes_at,
                paused=inventory.paused,
                price=money.to_text(self.instance.price_minor, currency_before),
            )

    def changed_fields(self) -> set[str]:
        """Return the names of the changed fields. If the event's currency changes, the price counts as changed."""
        # In the admin, `has_changed` is False if the user may not change ticket types.
        changed = set(self.changed_data) if self.has_changed() else set()
        is_other_currency = self.instance.pk and self.event.currency != self.currency_before
        return {*changed, "price"} if is_other_currency else changed

    def is_to_save(self) -> bool:
        """Return whether this form has something to write."""
        return bool(self.changed_fields()) and not self.cleaned_data.get("DELETE")

    def clean_name(self) -> str:
        return str(_read(lambda: texts.one_line(self.cleaned_data["name"], most=rules.TYPE_NAME_LENGTH)))

    def clean_price(self) -> int:
        text = self.cleaned_data["price"].strip()
        currency = self.event.currency if money.is_currency(self.event.currency) else "EUR"
        return int(_read(lambda: money.written_to_minor(text, currency)))

    def clean_capacity(self) -> int:
        capacity: int = self.cleaned_data["capacity"]
        if capacity < self.taken:
            sentence = ngettext(
                "%(n)s ticket is already reserved or sold.",
                "%(n)s tickets are already reserved or sold.",
                self.taken,
            )
            raise forms.ValidationError(sentence % {"n": self.taken})
        return capacity

    def clean_opens_at(self) -> datetime | None:
        return self._checked("opens_at")

    def clean_closes_at(self) -> datetime | None:
        return self._checked("closes_at")

    def _checked(self, name: str) -> datetime | None:
        instant: datetime | None = self.cleaned_data[name]
        if instant is not None:
            _read(lambda: rules.check_instant(instant))
        return instant

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        opens_at, closes_at = self.cleaned_data.get("opens_at"), self.cleaned_data.get("closes_at")
        closing = closes_at or self.event.date
        if closing is not None and "opens_at" in self.cleaned_data and "closes_at" in self.cleaned_data:
            try:
                event_rules.check_sale_times(opens_at=opens_at, closes_at=closing)
            except ValueError as error:
                self.add_error("opens_at", wrong(error))
            self._check_moved(closes_at)
        return cleaned

    def _check_moved(self, closes_at: datetime | None) -> None:
        """Refuse an earlier date of the event if this sale would then end after the event begins."""
        if closes_at is None or self.date_before is None or "closes_at" in self.changed_data:
            return
        if self.event.date < closes_at <= self.date_before:
            sentence = _(
                "The event would begin before this time. Enter an earlier time, or leave this field empty to"
                " close the sale when the event begins."
            )
            self.add_error("closes_at", sentence)


class TicketTypeFormSet(forms.BaseInlineFormSet):
    """The forms of the ticket types of one event."""

    may_pause = True

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {
            **super().get_form_kwargs(index),
            "event": self.instance,
            "currency_before": self._before[0],
            "date_before": self._before[1],
            "may_pause": self.may_pause,
        }

    def get_queryset(self) -> Any:
        if not hasattr(self, "_queryset"):  # Django's own name: it reads the rows once and keeps them here
            self._queryset = super().get_queryset().select_related("inventory")
        return self._queryset

    @property
    def _before(self) -> tuple[str, datetime | None]:
        """Return the event's currency and date in the database; the form may have changed them in the instance."""
        known = getattr(self, "_known_before", None)
        if known is None:
            saved = event_selectors.event_terms(self.instance.pk) if self.instance.pk else None
            known = self._known_before = saved or (self.instance.currency, None)
        return known

    def clean(self) -> None:
        to_delete = [form for form in self.forms if self._should_delete_form(form)]  # type: ignore[attr-defined]
        for form in to_delete:
            self._check_deletable(form)  # before Django's own check, which lists each reservation
        super().clean()
        names: set[str] = set()
        kept = []
        for form in self.forms:
            if form in to_delete or "name" not in form.cleaned_data:
                continue
            key = texts.name_key(form.cleaned_data["name"])
            if key in names:
                form.add_error("name", _("Another ticket type of this event has this name."))
            names.add(key)
            kept.append(form)
        self._check_drawn(kept)

    def _check_drawn(self, kept: list[forms.ModelForm]) -> None:
        """Refuse an event on sale whose draw would never begin: nobody could buy its tickets."""
        if self.instance.status != Event.Status.ON_SALE or self.instance.opening != Opening.DRAW:
            return
        shown = [form for form in kept if not form.cleaned_data.get("hidden")]
        if shown and all(form.cleaned_data.get("opens_at", "wrong") is None for form in shown):
            shown[0].add_error(
                "opens_at",
                _("Set a time when the sale opens. An event that opens by a draw needs this time."),
            )

    @staticmethod
    def _check_deletable(form: forms.ModelForm) -> None:
        if form.instance.pk and event_selectors.is_type_reserved(ticket_type=form.instance.pk):
            sentence = _(
                "The ticket type %(name)s cannot be deleted, because tickets of this type were reserved."
            )
            raise forms.ValidationError(sentence % {"name": form.instance.name})
