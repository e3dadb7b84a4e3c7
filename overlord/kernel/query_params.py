"""Read query parameters by their type. A parameter that cannot be read is refused, never ignored."""

from collections.abc import Mapping

from overlord.kernel.errors import Invalid
from overlord.kernel.numbers import whole_number

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def flag(params: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return a parameter that must be `true` or `false` (or `1` or `0`); raise Invalid for any other text."""
    if name not in params:
        return default
    value = _FLAGS.get(params[name].lower())
    if value is None:
        raise unreadable(name, "This must be true or false.")
    return value


def whole(params: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    """Return a parameter that must be a whole number from `least` to `most`; raise Invalid for any other text."""
    if name not in params:
        return default
    try:
        return whole_number(params[name], least=least, most=most)
    except ValueError as error:
        raise unreadable(name, str(error)) from None


def unreadable(name: str, sentence: str) -> Invalid:
    """Return the error for one parameter that cannot be read."""
    return Invalid(errors={name: [sentence]})
