"""Form fields that all apps share, on pages and in the admin."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
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
            on, at = field.widget.widgets[:2]
            on.format, at.format = DATE_FORMAT, TIME_FORMAT


class WhichOfTwo(StrEnum):
    """Which of two equal local times is meant. When clocks go back, each time of one hour comes twice."""

    FIRST = "first"
    SECOND = "second"


WHICH_OF_TWO: dict[str, Any] = {
    WhichOfTwo.FIRST.value: _lazy("before the clocks go back"),
    WhichOfTwo.SECOND.value: _lazy("after the clocks have gone back"),
}


def which_of_two(local: datetime) -> str:
    """Return "first" or "second" for an aware datetime whose time comes twice in its zone; "" for any other."""
    if not time_zones.comes_twice(local):
        return ""
    return WhichOfTwo.SECOND.value if local.fold else WhichOfTwo.FIRST.value


class DateAndTime(forms.SplitDateTimeWidget):
    """An input of type date and one of type time, each with a name for screen readers.

    If the time comes twice, a third element asks which of the two is meant.
    """

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            attrs,
            date_format=DATE_FORMAT,
            time_format=TIME_FORMAT,
            date_attrs={"type": "date", "aria-label": _lazy("Date")},  # type: ignore[dict-item]
            time_attrs={"type": "time", "aria-label": _lazy("Time")},  # type: ignore[dict-item]
        )
        choices = [("", _lazy("Which of the two?")), *WHICH_OF_TWO.items()]
        which = forms.Select({"aria-label": _lazy("Which of the two?")}, choices=choices)
        self.widgets = (*self.widgets, which)  # type: ignore[assignment]  # Django has two
        self.widgets_names = ["_0", "_1", "_2"]

    def decompress(self, value: datetime | None) -> list[Any]:  # type: ignore[override]  # with a third value
        """Return the date, the time, and which of two equal times it is."""
        return [*super().decompress(value), which_of_two(timezone.localtime(value)) if value else ""]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Return the inputs to render. The third one is left out if the time does not come twice."""
        context = super().get_context(name, value, attrs)
        inputs = context["widget"]["subwidgets"]
        if not _comes_twice(inputs[0]["value"], inputs[1]["value"]):
            del inputs[2]
        return context


def _comes_twice(date: str | None, time: str | None) -> bool:
    """Return whether a written time comes twice in the current time zone."""
    try:
        local = datetime.fromisoformat(f"{date} {time}").replace(tzinfo=timezone.get_current_timezone())
        return time_zones.comes_twice(local)
    except (ValueError, OverflowError):
        return False


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

    When clocks go back, each time of one hour comes twice. `DateAndTime` asks which of the two is meant. With the
    admin's widget, a time that somebody enters is the first of the two, as in calendars (RFC 5545). A field that
    is sent unchanged keeps its instant.
    """

    widget = DateAndTime

    def clean(self, value: Any) -> datetime | None:
        """Return the instant; refuse a time that comes twice if nobody chose one of the two."""
        first: datetime | None = super().clean(value[:2] if isinstance(value, list) else value)
        if first is None or not isinstance(self.widget, DateAndTime):
            return first
        local = first.astimezone(timezone.get_current_timezone())
        if not time_zones.comes_twice(local):
            return first
        which = value[2] if len(value) > 2 else None
        if which not in list(WhichOfTwo):
            sentence = _(
                "The clocks go back in that night, so this time comes twice. Choose which of the two."
            )
            raise ValidationError(sentence, code="invalid")
        return local.replace(fold=int(which == WhichOfTwo.SECOND)).astimezone(UTC)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether the date, the time, or the choice of one of two equal times differs."""
        if super().has_changed(initial, data):
            return True
        which = data[2] if isinstance(data, list) and len(data) > 2 else None
        if not which or not isinstance(initial, datetime):
            return False
        return bool(which != which_of_two(timezone.localtime(initial)))

    def _clean_bound_field(self, bf: BoundField) -> Any:
        if isinstance(bf.initial, datetime) and not self.has_changed(bf.initial, bf.data):
            return bf.initial
        return super()._clean_bound_field(bf)  # type: ignore[misc]  # the stubs know an older Django

    def compress(self, data_list: Any) -> datetime | None:
        """Return the instant, the first one if the time comes twice; refuse a time that clocks skip."""
        try:
            return super().compress(data_list)
        except ValidationError as error:
            if error.code != "ambiguous_timezone":
                raise
            local = datetime.combine(*data_list).replace(tzinfo=timezone.get_current_timezone())
            if not time_zones.is_skipped(local):
                return local.astimezone(UTC)
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
