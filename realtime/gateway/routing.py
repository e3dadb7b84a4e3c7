"""Which address shows which kind of stream, with and without a trailing slash.

Runs on Daphne's event loop: `websockets` is the application that each new socket is given to.
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
    """Serve a socket. Ignore the root path, which Daphne takes from a header that any client may send."""
    await _router({**scope, "root_path": ""}, receive, send)
