"""The addresses of the kinds of streams, with and without a trailing slash.

Runs on Daphne's event loop. Daphne calls the application `websockets` for each new socket.
"""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from realtime.gateway.consumer import StreamConsumer
from realtime.streams import Kind

_router = URLRouter(
    [
        re_path(r"^ws/events/(?P<id>[0-9]{1,19})/?\Z", StreamConsumer.as_asgi(kind=Kind.EVENT)),
        re_path(r"^ws/events/?\Z", StreamConsumer.as_asgi(kind=Kind.EVENTS)),
        re_path(r"^ws/line/(?P<id>[0-9]{1,19})/?\Z", StreamConsumer.as_asgi(kind=Kind.LINE)),
        re_path(r"^ws/door/(?P<id>[0-9]{1,19})/?\Z", StreamConsumer.as_asgi(kind=Kind.DOOR)),
        re_path(r"^ws/tickets/(?P<link>[A-Za-z0-9_-]{1,100})/?\Z", StreamConsumer.as_asgi(kind=Kind.TICKETS)),
        re_path(r"^ws/stats/?\Z", StreamConsumer.as_asgi(kind=Kind.STATS)),
        re_path(r"^ws/me/?\Z", StreamConsumer.as_asgi(kind=Kind.ME)),
        re_path(r"", StreamConsumer.as_asgi()),  # Channels would answer an unknown address with a 500
    ]
)


async def websockets(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve a socket by its path. Ignore the root path: Daphne takes it from a header that any client can send."""
    await _router({**scope, "root_path": ""}, receive, send)
