"""Money is a whole number of a currency's minor units; clients see a decimal string beside the currency."""

import re
from decimal import Decimal
from functools import lru_cache

from babel.numbers import get_currency_precision
from iso4217 import Currency

from overlord.kernel.errors import WrongValue

LARGEST_MINOR = 10**12  # far above any ticket, far below what a bigint holds
TEXT_LENGTH = 30  # of an amount as people and programs write it
_PLAIN = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,4}))?")
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}")
_SHOWN = 40  # how many characters of a wrong amount an error message shows


@lru_cache(maxsize=256)
def digits(currency: str) -> int:
    """Return how many decimals the currency has by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD."""
    places = _exponent(currency)
    return get_currency_precision(currency) if places is None else places  # Babel knows withdrawn ones too


@lru_cache(maxsize=256)
def is_currency(code: str) -> bool:
    """Return whether `code` is a currency in use by ISO 4217, in upper case, with a defined number of digits."""
    return _exponent(code) is not None


def _exponent(code: str) -> int | None:
    try:
        return Currency(code).exponent
    except ValueError:
        return None


def to_text(minor: int, currency: str) -> str:
    """Return minor units as a decimal string: (1500, "EUR") is "15.00"."""
    places = digits(currency)
    return f"{Decimal(minor).scaleb(-places):.{places}f}"


def written_to_minor(text: str, currency: str) -> int:
    """Return as minor units what a person wrote into a form; raise as `to_minor` does.

    A comma before one or two last digits is a decimal comma: "18,50". "1,500" stays refused: it may be a thousand.
    """
    text = text.strip()
    plain = text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
    if _PLAIN.fullmatch(plain) is None:
        raise WrongValue(
            "%(text)r is not an amount of money in plain digits, such as 15.00 or 15,00.", text=text[:_SHOWN]
        )
    return _to_minor(plain, currency, written=text)


def to_minor(text: str, currency: str) -> int:
    """Return a decimal string as minor units: ("15", "EUR") and ("15.00", "EUR") are 1500.

    Raises ValueError, with a sentence, if the text is not a plain amount: a sign, an exponent, another script's
    digits, more decimals than the currency has (also zeros: "1.500" may mean fifteen hundred), or too much.
    """
    return _to_minor(text, currency, written=text)


def _to_minor(text: str, currency: str, *, written: str) -> int:
    """Return a decimal string as minor units. The sentence of an error shows the amount as it was written."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        raise WrongValue(
            "%(text)r is not an amount of money in plain digits, such as 15.00.", text=written[:_SHOWN]
        )
    whole, fraction = plain[1], plain[2] or ""
    places = digits(currency)
    if len(fraction) > places:
        raise WrongValue("%(text)r has more decimals than %(currency)s has.", text=written, currency=currency)
    minor = int(whole + fraction.ljust(places, "0"))
    if minor > LARGEST_MINOR:
        raise WrongValue(
            "%(text)r is not an amount between 0 and %(most)s.",
            text=written,
            most=LARGEST_MINOR
            // 10**places,  # whole in every currency, so no language has another decimal sign
        )
    return minor
