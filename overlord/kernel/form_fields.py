"""Form fields that all apps share, on pages and in the admin."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.forms.utils import flatatt
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.kernel import texts, time_zones
from overlord.kernel.errors import WrongValue
from overlord.kernel.numbers import whole_number

DATE_FORMAT, TIME_FORMAT = "%Y-%m-%d", "%H:%M:%S"


def wrong(error: ValueError) -> str:
    """Return the sentence of an error about a value, in the reader's language."""
    if isinstance(error, WrongValue) and error.facts:
        return _(error.sentence) % error.facts
    return _(str(error))


class WholeNumberField(forms.IntegerField):
    """A whole number from `min_value` to `max_value`, as `numbers.whole_number` reads it."""

    min_value: int
    max_value: int

    def __init__(self, *, min_value: int, max_value: int, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        given = value.strip() if isinstance(value, str) else value
        try:
            return whole_number(given, least=self.min_value, most=self.max_value)
        except ValueError as error:
            raise ValidationError(wrong(error), code="invalid") from None


class OneLineField(forms.CharField):
    """A text on one line, as `texts.one_line` reads it."""

    max_length: int

    def __init__(self, *, max_length: int, **options: Any) -> None:
        super().__init__(max_length=max_length, **options)

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        try:
            return texts.one_line(text, most=self.max_length) if text else ""
        except ValueError as error:
            raise ValidationError(wrong(error), code="invalid") from None


class ListedInput(forms.TextInput):
    """A text input with a list of values. The browser offers those values that contain the typed text."""

    def __init__(self, values: Callable[[], Iterable[str]], attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "spellcheck": "false", **(attrs or {})})
        self.values = values

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """Return the input and its list as HTML."""
        listed = f"{(attrs or {}).get('id', name)}_list"
        written = super().render(name, value, {**(attrs or {}), "list": listed}, renderer)
        options = format_html_join("", '<option value="{}">', ((each,) for each in self.values()))
        return format_html('{}<datalist id="{}">{}</datalist>', written, listed, options)


class TimeZoneField(forms.CharField):
    """A time zone, by its name or its place: "Europe/Berlin" or "berlin"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=100, widget=ListedInput(time_zones.names), **options)

    def to_python(self, value: Any) -> str:
        text = super().to_python(value)
        found = time_zones.meant(text) if text else ("",)
        if not found:
            sentence = _(
                "There is no such time zone. Enter a city from the list, for example Berlin or New York."
            )
            raise ValidationError(sentence, code="invalid")
        if len(found) > 1:
            sentence = _("Several time zones have this name. Enter one of them: %(names)s.")
            raise ValidationError(sentence % {"names": ", ".join(found)}, code="invalid")
        return found[0]


def use_iso_formats(fields: Mapping[str, forms.Field]) -> None:
    """Show the dates and times of these fields in ISO 8601, which inputs of type date and time need."""
    for field in fields.values():
        if isinstance(field.widget, forms.SplitDateTimeWidget):
            on, at = field.widget.widgets
            on.format, at.format = DATE_FORMAT, TIME_FORMAT


class DateAndTime(forms.SplitDateTimeWidget):
    """An input of type date and one of type time, each with a name for screen readers."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            attrs,
            date_format=DATE_FORMAT,
            time_format=TIME_FORMAT,
            date_attrs={"type": "date", "aria-label": _lazy("Date")},  # type: ignore[dict-item]
            time_attrs={"type": "time", "aria-label": _lazy("Time")},  # type: ignore[dict-item]
        )


class DateAndTimeBound(BoundField):
    """A date with a time, as a field of one form."""

    @property
    def id_for_label(self) -> str:
        """Return the id of the input to correct: of the time if only the time is missing, else of the date."""
        given = self.value()
        is_time = isinstance(given, list) and bool(given[0]) and not given[1]
        return f"{self.auto_id}_{1 if is_time else 0}"


class DateAndTimeField(forms.SplitDateTimeField):
    """A date with a time, each in its own input.

    When clocks go back, each time of one hour comes twice. A form that is sent unchanged keeps the instant that it
    was made from. A time that somebody enters is the first of the two, as in calendars (RFC 5545).
    """

    widget = DateAndTime

    def _clean_bound_field(self, bf: BoundField) -> Any:
        cleaned = super()._clean_bound_field(bf)  # type: ignore[misc]  # the stubs know an older Django
        is_left = isinstance(bf.initial, datetime) and not self.has_changed(bf.initial, bf.data)
        return bf.initial if is_left else cleaned

    def compress(self, data_list: Any) -> datetime | None:
        """Return the instant; refuse a time that clocks skip when they go forward."""
        try:
            return super().compress(data_list)
        except ValidationError as error:
            if error.code != "ambiguous_timezone":
                raise
            local = datetime.combine(*data_list)
            zone = timezone.get_current_timezone()
            # In UTC, because Python finds no time that comes twice equal to any time in another zone.
            first = local.replace(tzinfo=zone).astimezone(UTC)
            if first.astimezone(zone).replace(tzinfo=None) == local:
                return first
            sentence = _(
                "The clocks go forward in that night, so this time does not exist. "
                "Choose a time before or after that hour."
            )
            raise ValidationError(sentence, code="invalid") from None

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> BoundField:
        """Return the field of one form."""
        return DateAndTimeBound(form, self, field_name)


class LongSelect(forms.Select):
    """A select element for hundreds of options, without groups. It renders no template for each option."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """Return the element as HTML."""
        chosen = set(self.format_value(value))
        options = format_html_join(
            "\n",
            '<option value="{}"{}>{}</option>',
            ((key, flatatt({"selected": str(key) in chosen}), label) for key, label in self.choices),
        )
        given = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        return format_html("<select{}>\n{}\n</select>", flatatt(given), options)
