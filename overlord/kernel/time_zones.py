"""Time zones by their IANA names: check one, list all, find the zone that a person means."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

UTC = "UTC"


def is_time_zone(name: str) -> bool:
    """Return whether this is UTC, or a zone named by an area and a place, such as "Europe/Berlin".

    Names without an area (EST5EDT, Factory) are old, and browsers do not know all of them.
    """
    if name == UTC:
        return True
    if "/" not in name or name.startswith(("posix/", "right/")):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return UTC and all zones with an area, sorted. The first call reads hundreds of files."""
    return (UTC, *sorted(name for name in available_timezones() if "/" in name))


def meant(text: str) -> tuple[str, ...]:
    """Return the zones that a person may mean by a text: the name of a zone, or only the place in it.

    Upper and lower case are equal. The result has several zones if the place is in several areas, and none if no
    zone has it.
    """
    if is_time_zone(text):
        return (text,)
    return _by_key().get("_".join(text.casefold().split()), ())


@lru_cache(maxsize=1)
def _by_key() -> dict[str, tuple[str, ...]]:
    """Return the zones by their whole names and by their places, both in lower case."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names():
        place = name.rpartition("/")[2].casefold()
        found[place] = (*found.get(place, ()), name)
    return found | {name.casefold(): (name,) for name in names()}


def is_skipped(local: datetime) -> bool:
    """Return whether the clocks of its zone skip the time of an aware datetime, because they go forward."""
    return _offset_rises(local) > timedelta()


def comes_twice(local: datetime) -> bool:
    """Return whether the clocks of its zone show the time of an aware datetime twice, because they go back."""
    return _offset_rises(local) < timedelta()


def _offset_rises(local: datetime) -> timedelta:
    """Return by how much the offset from UTC rises at this time: less than zero if it falls (PEP 495).

    It rises at a time that is skipped, and falls at one that comes twice. At all other times the result is zero.
    """
    first, second = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    return (second or timedelta()) - (first or timedelta())


def of_offset(instant: datetime, *, otherwise: str) -> str:
    """Return a zone with the same offset from UTC as an aware datetime.

    `otherwise` is the name of another zone. It is returned if its offset at this time is the same, if the offset of
    the datetime is not in whole hours, and for a datetime in UTC, whose offset does not show where the person is.
    """
    offset = instant.utcoffset()
    if (
        not offset
        or offset % timedelta(hours=1)
        or offset == instant.astimezone(ZoneInfo(otherwise)).utcoffset()
    ):
        return otherwise
    name = f"Etc/GMT{-offset // timedelta(hours=1):+d}"  # the signs of these names are inverted
    return name if is_time_zone(name) else otherwise
