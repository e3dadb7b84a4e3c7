"""Time zones by their IANA names."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

UTC = "UTC"


def is_time_zone(name: str) -> bool:
    """Return whether this is UTC or the name of an area and a place.

    Names without an area (EST5EDT, Factory) are old links, of which browsers do not know all.
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
    """Return all such names, sorted. It reads hundreds of files, once."""
    return (UTC, *sorted(name for name in available_timezones() if "/" in name))


def meant(text: str) -> tuple[str, ...]:
    """Return the zones that a person may mean with a text: the name of a zone, or its place alone, in any case.

    They are several for a place that several zones name, and none for a text that names no zone.
    """
    if is_time_zone(text):
        return (text,)
    return _by_key().get("_".join(text.casefold().split()), ())


@lru_cache(maxsize=1)
def _by_key() -> dict[str, tuple[str, ...]]:
    """Return the zones by their whole names and by their places, both without case."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names():
        place = name.rpartition("/")[2].casefold()
        found[place] = (*found.get(place, ()), name)
    return found | {name.casefold(): (name,) for name in names()}


def of_offset(instant: datetime, *, otherwise: str) -> str:
    """Return a zone with the offset from UTC that an aware instant has.

    Return `otherwise` if that zone has the offset too, or if the offset is not in whole hours. An instant in UTC
    does not say where its reader is, so it gives `otherwise` as well.
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
