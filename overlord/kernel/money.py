"""Convert amounts of money: whole numbers of minor units inside, decimal strings with a currency for clients."""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from babel.numbers import get_currency_precision
from iso4217 import Currency

from overlord.kernel.errors import WrongValue

LARGEST_MINOR = 10**12  # far above the price of any ticket, far below the largest bigint
TEXT_LENGTH = 30  # the longest text of an amount
_PLAIN = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,4}))?")
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}")
_SHOWN = 40  # how many characters of a wrong amount an error message shows


@lru_cache(maxsize=256)
def digits(currency: str) -> int:
    """Return how many decimals the currency has by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD."""
    places = _exponent(currency)
    return get_currency_precision(currency) if places is None else places  # Babel also knows old currencies


@lru_cache(maxsize=256)
def is_currency(code: str) -> bool:
    """Return whether `code` is a current currency of ISO 4217, in upper case, with a defined number of decimals."""
    return _exponent(code) is not None


def _exponent(code: str) -> int | None:
    try:
        return Currency(code).exponent
    except ValueError:
        return None


def to_text(minor: int, currency: str) -> str:
    """Return minor units as a decimal string: "15.00" for (1500, "EUR")."""
    places = digits(currency)
    return f"{Decimal(minor).scaleb(-places):.{places}f}"


def total(amounts: Iterable[str], currency: str) -> str:
    """Return the sum of decimal strings as a decimal string. It may be above the largest price."""
    return f"{sum(map(Decimal, amounts), Decimal()):.{digits(currency)}f}"


def written_to_minor(text: str, currency: str) -> int:
    """Return the minor units of an amount that a person wrote into a form; raise ValueError as `to_minor` does.

    A comma before the last one or two digits is a decimal comma: "18,50". "1,500" is refused, because it may mean
    fifteen hundred.
    """
    text = text.strip()
    plain = text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
    if _PLAIN.fullmatch(plain) is None:
        raise WrongValue(
            "%(text)r is not an amount of money. Write only the number, for example 15.00 or 15,00.",
            text=text[:_SHOWN],
        )
    return _to_minor(plain, currency, written=text)


def to_minor(text: str, currency: str) -> int:
    """Return the minor units of a decimal string: 1500 for ("15", "EUR") and for ("15.00", "EUR").

    Raise ValueError, with a sentence, for any other text: with a sign, an exponent, or digits of another script;
    with more decimals than the currency has, even if they are zeros ("1.500" may mean fifteen hundred); or above
    LARGEST_MINOR.
    """
    return _to_minor(text, currency, written=text)


def _to_minor(text: str, currency: str, *, written: str) -> int:
    """Return the minor units of a decimal string. The sentence of an error shows the text `written`."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        raise WrongValue(
            "%(text)r is not an amount of money. Write only the number, for example 15.00.",
            text=written[:_SHOWN],
        )
    whole, fraction = plain[1], plain[2] or ""
    places = digits(currency)
    if len(fraction) > places:
        raise WrongValue(
            "%(text)r has too many decimal places for %(currency)s.", text=written, currency=currency
        )
    minor = int(whole + fraction.ljust(places, "0"))
    if minor > LARGEST_MINOR:
        # The limit is a whole number in every currency, so it needs no decimal sign, which differs by language.
        raise WrongValue(
            "%(text)r is not an amount between 0 and %(most)s.",
            text=written,
            most=LARGEST_MINOR // 10**places,
        )
    return minor
