"""Read whole numbers that clients write: plain ASCII digits, within a range."""

import re

from overlord.kernel.errors import WrongValue

LARGEST_ID = 2**63 - 1  # the largest bigint of PostgreSQL

_DIGITS = re.compile(r"[0-9]{1,19}")  # 19 are enough for any bigint


def whole_number(given: object, *, least: int, most: int) -> int:
    """Return the whole number that a client sent, as a JSON number or as ASCII digits.

    Raise ValueError, with a sentence, for a number below `least` or above `most`, and for anything else, such as a
    text with a sign, an underscore, an exponent, a fraction, or digits of another script.
    """
    number = given if type(given) is int else None
    if isinstance(given, str) and _DIGITS.fullmatch(given):
        number = int(given)
    if number is None or not least <= number <= most:
        raise WrongValue("Enter a whole number from %(least)s to %(most)s.", least=least, most=most)
    return number
