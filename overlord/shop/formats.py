"""Money, dates and numbers as people of the active language write them. Times are in the server's zone, named."""

from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers
from django.conf import settings
from django.utils.translation import get_language, to_locale

ZONE = ZoneInfo(settings.TIME_ZONE)


def _locale() -> str:
    return to_locale(get_language() or settings.LANGUAGE_CODE)


def money(amount: str, currency: str) -> str:
    """Will write a decimal string of a currency: ("15.00", "EUR") is €15.00 in English."""
    locale = Locale.parse(_locale())
    # By the digits that are there, which are ISO 4217's; Babel's own are those of everyday cash.
    places = len(amount.partition(".")[2])
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    return pattern.apply(Decimal(amount), locale, currency=currency, currency_digits=False)


def number(value: int | None) -> str:
    """Will write a whole number: 1500 is 1,500 in English; nothing for None."""
    return "" if value in (None, "") else numbers.format_decimal(value, locale=_locale())


def percent(share: float) -> str:
    """Will write a share in hundredths: 0.125 is 12.5% in English."""
    return numbers.format_percent(share, format="#,##0.#%", locale=_locale())


def _skeleton(instant: datetime, skeleton: str) -> str:
    return dates.format_skeleton(skeleton, instant, tzinfo=ZONE, locale=_locale())


def _time(instant: datetime, length: Literal["short", "medium"]) -> str:
    return dates.format_time(instant, length, tzinfo=ZONE, locale=_locale())


def moment(instant: datetime) -> str:
    """Will write a day and a time: Fri, Jan 8, 2027, 7:30 PM UTC."""
    return f"{_skeleton(instant, 'yMMMEd')}, {_time(instant, 'short')} {ZONE.key}"


def clock(instant: datetime) -> str:
    """Will write a time of day to the second: 7:30:05 PM UTC."""
    return f"{_time(instant, 'medium')} {ZONE.key}"


def time_of_day(instant: datetime) -> str:
    """Will write a time of day: 7:30 PM."""
    return _time(instant, "short")


def day(instant: datetime) -> str:
    """Will write a day of the month: 8."""
    return _skeleton(instant, "d")


def weekday(instant: datetime) -> str:
    """Will write a short weekday: Fri."""
    return _skeleton(instant, "E")


def month(instant: datetime) -> str:
    """Will write a month: January 2027."""
    return _skeleton(instant, "yMMMM")
