"""Which address shows which stream. Addresses are served with and without their trailing slash."""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from realtime.gateway.consumer import StreamConsumer

_router = URLRouter(
    [
        re_path(r"^ws/events/(?P<id>[0-9]{1,19})/?\Z", StreamConsumer.as_asgi(kind="event")),
        re_path(r"^ws/events/?\Z", StreamConsumer.as_asgi(kind="events")),
        re_path(r"^ws/stats/?\Z", StreamConsumer.as_asgi(kind="stats")),
        re_path(r"^ws/me/?\Z", StreamConsumer.as_asgi(kind="me")),
        re_path(r"", StreamConsumer.as_asgi()),  # Channels would answer an unknown address with a 500
    ]
)


async def websockets(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Will serve a socket. Daphne's root path is from a header that any client may send: it is ignored."""
    await _router({**scope, "root_path": ""}, receive, send)
