from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from django import forms
from django.forms import SplitDateTimeWidget
from django.test.html import parse_html
from django.utils import timezone, translation

from overlord.kernel import money, numbers, texts
from overlord.kernel.form_fields import DateAndTimeField, LongSelect, TimeZoneField, wrong

CHOICES = [("", "---"), ("a&b", "A & <b>"), (7, "seven")]


@pytest.mark.parametrize("chosen", [None, "", "a&b", 7, "7", "unknown"])
def test_a_long_select_equals_the_element_that_django_makes(chosen: object) -> None:
    attributes = {"id": "id_zone", "required": True, "title": 'a "title"'}
    long, short = (kind(attrs=attributes, choices=CHOICES) for kind in (LongSelect, forms.Select))

    assert parse_html(long.render("zone", chosen)) == parse_html(short.render("zone", chosen))


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin ", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new  york", "America/New_York"),
        ("utc", "UTC"),
        ("Etc/GMT-1", "Etc/GMT-1"),
    ],
)
def test_a_time_zone_is_found_by_its_name_or_its_place(written: str, zone: str) -> None:
    field = TimeZoneField()
    assert field.clean(written) == zone
    assert not field.has_changed(zone, written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Springfield", "There is no such time zone"),
        ("../etc/passwd", "There is no such time zone"),
        ("eastern", "Canada/Eastern, US/Eastern"),
        ("", "required"),
    ],
)
def test_an_unknown_or_ambiguous_time_zone_is_refused(written: str, said: str) -> None:
    with pytest.raises(forms.ValidationError, match=said):
        TimeZoneField().clean(written)


def test_the_input_of_a_time_zone_offers_them_all() -> None:
    shown = TimeZoneField().widget.render("zone", "UTC", {"id": "id_zone"})
    assert '<datalist id="id_zone_list"><option value="UTC"><option value="Africa/Abidjan">' in shown
    assert 'list="id_zone_list"' in shown


@pytest.mark.parametrize(
    ("read", "english", "german"),
    [
        (
            partial(money.to_minor, "15,00", "EUR"),
            "'15,00' is not an amount of money. Write only the number, for example 15.00.",
            "'15,00' ist kein Geldbetrag. Schreiben Sie nur die Zahl, zum Beispiel 15.00.",
        ),
        (
            partial(money.written_to_minor, "15 EUR", "EUR"),
            "'15 EUR' is not an amount of money. Write only the number, for example 15.00 or 15,00.",
            "'15 EUR' ist kein Geldbetrag. Schreiben Sie nur die Zahl, zum Beispiel 15,00 oder 15.00.",
        ),
        (
            partial(money.written_to_minor, "99999999999,50", "EUR"),
            "'99999999999,50' is not an amount between 0 and 10000000000.",
            "'99999999999,50' ist kein Betrag zwischen 0 und 10000000000.",
        ),
        (
            partial(money.written_to_minor, "18,50", "JPY"),
            "'18,50' has too many decimal places for JPY.",
            "'18,50' hat zu viele Nachkommastellen für JPY.",
        ),
        (
            partial(texts.one_line, "too long", most=3),
            "This text has 8 characters. At most 3 are allowed.",
            "Dieser Text hat 8 Zeichen. Höchstens 3 sind erlaubt.",
        ),
        (
            partial(texts.one_line, " ", most=3),
            "This field must not be empty.",
            "Dieses Feld darf nicht leer sein.",
        ),
        (
            partial(numbers.whole_number, "100 %", least=1, most=9),
            "Enter a whole number from 1 to 9.",
            "Geben Sie eine ganze Zahl von 1 bis 9 ein.",
        ),
    ],
)
def test_the_fault_of_a_value_is_told_in_the_readers_language(
    read: Callable[[], object], english: str, german: str
) -> None:
    with pytest.raises(ValueError, match=r"must|characters|amount|decimal places|Enter") as refused:
        read()
    assert str(refused.value) == wrong(refused.value) == english
    with translation.override("de"):
        assert wrong(refused.value) == german


def test_a_time_that_clocks_skip_is_refused_and_one_that_comes_twice_is_the_first() -> None:
    with timezone.override("Europe/Berlin"):
        with pytest.raises(forms.ValidationError, match="does not exist"):
            DateAndTimeField().clean(["2027-03-28", "02:30"])
        for date in ("2027-03-28", "2027-10-31"):
            with pytest.raises(forms.ValidationError, match="valid date"):
                DateAndTimeField().clean([date.replace("-", "/"), "25:00"])
        assert DateAndTimeField().clean(["2027-03-28", "03:30"]) == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
        first = DateAndTimeField(widget=SplitDateTimeWidget).clean(["2027-10-31", "02:30"])
        assert first == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
        assert DateAndTimeField().clean(["2027-10-31", "03:30"]) == datetime(2027, 10, 31, 2, 30, tzinfo=UTC)


class OneField(forms.Form):
    at = DateAndTimeField()


@pytest.mark.parametrize("hour", [0, 1])
def test_an_unchanged_time_that_comes_twice_is_kept(hour: int) -> None:
    stored = datetime(2027, 10, 31, hour, 30, tzinfo=UTC)
    with timezone.override("Europe/Berlin"):
        for which in ({}, {"at_2": ["first", "second"][hour]}):
            form = OneField({"at_0": "2027-10-31", "at_1": "02:30:00", **which}, initial={"at": stored})
            assert form.is_valid()
            assert form.cleaned_data["at"] == stored
            assert not form.changed_data


@pytest.mark.parametrize(("which", "hour"), [("first", 0), ("second", 1)])
@pytest.mark.parametrize("stored", [None, 0, 1])
def test_somebody_chooses_one_of_two_equal_times(which: str, hour: int, stored: int | None) -> None:
    before = None if stored is None else datetime(2027, 10, 31, stored, 30, tzinfo=UTC)
    with timezone.override("Europe/Berlin"):
        sent = {"at_0": "2027-10-31", "at_1": "02:30", "at_2": which}
        form = OneField(sent, initial={"at": before})
        assert form.is_valid()
        assert form.cleaned_data["at"] == datetime(2027, 10, 31, hour, 30, tzinfo=UTC)
        assert bool(form.changed_data) == (stored != hour)


@pytest.mark.parametrize(
    ("at", "asks"), [("2027-10-31 02:30", True), ("2027-10-31 03:30", False), ("2027-03-28 02:30", False)]
)
def test_only_a_time_that_comes_twice_asks_which_of_the_two(at: str, asks: bool) -> None:
    date, time = at.split()
    with timezone.override("Europe/Berlin"):
        form = OneField({"at_0": date, "at_1": time, "at_2": ""})
        assert ("comes twice" in str(form.errors)) == asks
        assert ('name="at_2"' in str(form["at"])) == asks
        assert "at_2" not in str(OneField()["at"])


@pytest.mark.parametrize(("hour", "which"), [(0, "first"), (1, "second")])
def test_a_stored_time_that_comes_twice_shows_which_of_the_two_it_is(hour: int, which: str) -> None:
    with timezone.override("Europe/Berlin"):
        shown = str(OneField(initial={"at": datetime(2027, 10, 31, hour, 30, tzinfo=UTC)})["at"])
    assert f'<option value="{which}" selected>' in shown
