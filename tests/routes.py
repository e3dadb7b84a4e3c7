"""All routes of the system, and an address for each."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver


def routes(resolver: URLResolver | None = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each route with its view, except those of the admin."""
    for each in (resolver or get_resolver()).url_patterns:
        place = before + str(each.pattern)
        if isinstance(each, URLPattern):
            yield place, each.callback
        elif each.app_name != "admin":
            yield from routes(each, place)


def address(place: str) -> str:
    """Return an address of the route, with an id that does not exist."""
    return "/" + "".join("999999" if part.startswith("<") else f"{part}/" for part in _parts(place))


def _parts(place: str) -> Iterator[str]:
    for part in place.strip("/").split("/"):
        if part.startswith("<uuid"):
            yield str(UUID(int=0))
            continue
        yield part if not part.startswith("<") else "<"
        if part.startswith("<"):
            yield ""
