"""Texts for money, times and numbers in the active language. `static/shop/formats.js` makes them in the browser.

A time is shown in the time zone of its event, or else of the installation. `date_time`,
`time_to_the_second` and `time_or_date` add the name of the zone; the other formats do not.
"""

import re
from collections.abc import Callable, Hashable
from copy import copy
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, wraps
from typing import Literal, ParamSpec
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers
from django.conf import settings
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")  # as in "CHF15.00": Babel writes no space there

_OTHER_SIGN = str.maketrans("+-", "-+")
REMEMBERED = 4_096  # the most texts of each format that a process keeps

Given = ParamSpec("Given")


def _remembered(write: Callable[Given, str]) -> Callable[Given, str]:
    """Cache the texts of a format by its arguments, the language and TIME_ZONE: pages show few different values.

    Pass all arguments by position, because keyword arguments are ignored.
    """

    @lru_cache(maxsize=REMEMBERED)
    def kept(_language: str, _zone: str, *args: Hashable) -> str:
        return write(*args)  # type: ignore[call-arg, arg-type]

    @wraps(write)
    def written(*args: Given.args, **_ignored: Given.kwargs) -> str:
        return kept(get_language() or "", settings.TIME_ZONE, *args)  # type: ignore[arg-type]

    return written


def _locale() -> str:
    return to_locale(get_language() or settings.LANGUAGE_CODE)


@_remembered
def money(amount: str, currency: str) -> str:
    """Return an amount of money: "€15.00" for ("15.00", "EUR"), "CHF 15.00" for ("15.00", "CHF").

    The text has as many decimals as `amount`, which follows ISO 4217. Babel itself would use those of
    CLDR, which are fewer for some currencies.
    """
    locale = Locale.parse(_locale())
    places = len(amount.partition(".")[2])
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    text = pattern.apply(Decimal(amount), locale, currency=currency, currency_digits=False)
    return _LETTER_BEFORE_DIGIT.sub("\N{NO-BREAK SPACE}", text)


def price(amount: str, currency: str) -> str:
    """Return the price of a ticket as `money` does, or "Free" if it costs nothing."""
    return money(amount, currency) if Decimal(amount) else _("Free")


def number(value: float | None) -> str:
    """Return a number as text: "1,500" for 1500 and "1.5" for 1.5 in English, and "" for None."""
    return "" if value in (None, "") else numbers.format_decimal(value, locale=_locale())


def percent(share: float) -> str:
    """Return a share as a percentage: "12.5%" for 0.125 in English."""
    locale = Locale.parse(_locale())
    pattern = copy(locale.percent_formats[None])
    pattern.frac_prec = (0, 1)
    return pattern.apply(share, locale)


def _zone(name: str | None) -> ZoneInfo:
    return ZoneInfo(name or settings.TIME_ZONE)


def zone_name(name: str | None = None) -> str:
    """Return the name of a time zone: "Berlin time" for Europe/Berlin, "UTC+1" for Etc/GMT-1."""
    area, _slash, city = (name or settings.TIME_ZONE).rpartition("/")
    if area == "Etc":  # the signs of these names are inverted
        return city.replace("GMT", "UTC").translate(_OTHER_SIGN)
    if not area:
        return city
    return _("%(city)s time") % {"city": city.replace("_", " ")}


def _skeleton(instant: datetime, skeleton: str, zone: str | None) -> str:
    return dates.format_skeleton(skeleton, instant, tzinfo=_zone(zone), locale=_locale())


def _time(instant: datetime, length: Literal["short", "medium"], zone: str | None) -> str:
    return dates.format_time(instant, length, tzinfo=_zone(zone), locale=_locale())


@_remembered
def date_time(instant: datetime, zone: str | None = None) -> str:
    """Return a date and a time with the zone: "Fri, Jan 8, 2027, 7:30 PM UTC"."""
    return f"{whole_date(instant, zone)}, {time_of_day(instant, zone)} {zone_name(zone)}"


def whole_date(instant: datetime, zone: str | None = None) -> str:
    """Return a date with its weekday: "Fri, Jan 8, 2027"."""
    return f"{weekday(instant, zone)}, {_skeleton(instant, 'yMMMd', zone)}"


def time_to_the_second(instant: datetime, zone: str | None = None) -> str:
    """Return a time of day to the second with the zone: "7:30:05 PM UTC"."""
    return f"{_time(instant, 'medium', zone)} {zone_name(zone)}"


def time_or_date(instant: datetime, zone: str | None, now: datetime) -> str:
    """Return a time of today to the second, and any other time with its date."""
    is_today = instant.astimezone(_zone(zone)).date() == now.astimezone(_zone(zone)).date()
    return time_to_the_second(instant, zone) if is_today else date_time(instant, zone)


@_remembered
def time_of_day(instant: datetime, zone: str | None = None) -> str:
    """Return a time of day: "7:30 PM"."""
    return _time(instant, "short", zone)


@_remembered
def day(instant: datetime, zone: str | None = None) -> str:
    """Return a day of the month: "8"."""
    return _skeleton(instant, "d", zone)


@_remembered
def weekday(instant: datetime, zone: str | None = None) -> str:
    """Return a short weekday: "Fri"."""
    return _skeleton(instant, "E", zone)


@_remembered
def month(first_day: date) -> str:
    """Return a month: "January 2027"."""
    return dates.format_skeleton("yMMMM", first_day, locale=_locale())
