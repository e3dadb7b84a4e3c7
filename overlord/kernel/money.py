"""Money is a whole number of a currency's minor units; clients see a decimal string beside the currency."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache

from babel.numbers import get_currency_precision, list_currencies

LARGEST = 10**12  # minor units: far above any ticket, far below what a bigint holds


@lru_cache(maxsize=256)
def digits(currency: str) -> int:
    """Will say how many decimals the currency (ISO 4217) has: 2 for EUR, 0 for JPY, 3 for KWD."""
    return get_currency_precision(currency)


@lru_cache(maxsize=256)
def is_currency(code: str) -> bool:
    """Will say whether `code` is an ISO 4217 currency, in upper case."""
    return code in list_currencies()


def to_text(minor: int, currency: str) -> str:
    """Will write minor units as a decimal string: (1500, "EUR") is "15.00"."""
    places = digits(currency)
    return f"{Decimal(minor).scaleb(-places):.{places}f}"


def to_minor(text: str, currency: str) -> int:
    """Will read a decimal string as minor units: ("15", "EUR") is 1500.

    Raises ValueError, with a sentence, for what is no such amount: negative, too precise, too large, no number.
    """
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of money.") from None
    if not amount.is_finite() or not 0 <= amount.scaleb(digits(currency)) <= LARGEST:
        raise ValueError(f"{text!r} is not an amount between 0 and {to_text(LARGEST, currency)}.")
    minor = amount.scaleb(digits(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"{text!r} has more decimals than {currency} has.")
    return int(minor)
