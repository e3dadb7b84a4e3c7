"""WebSockets, and the question whether this process lives, served by Daphne on one event loop.

HTTP is Granian's. No page is answered here, whatever path or header a request has: each would take a thread, and in
it a database connection that stays.
"""

import gc
import os
from http import HTTPStatus
from typing import Any

import django
from channels.routing import ProtocolTypeRouter
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

if not apps.ready:  # a fork is set up already; once more, and it writes to the memory that it shares
    django.setup()  # before what imports models

from overlord import liveness
from overlord.kernel import database_check, open_files
from overlord.kernel.problems import CONTENT_TYPE, problem
from overlord.kernel.rendering import dumps
from realtime.gateway.routing import websockets


async def http(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Answer /livez with 200, /readyz/self by whether there is room for a socket, and anything else with 404."""
    path, content_type = scope["path"].rstrip("/"), "application/json"
    if path == "/livez":
        status = HTTPStatus.OK
        said: dict[str, Any] = {"status": "ok"}
    elif path != "/readyz/self":
        status, content_type = HTTPStatus.NOT_FOUND, CONTENT_TYPE
        said = problem(status, code="not_found", detail="There is nothing at this address.")
    elif open_files.has_room():
        status, said = HTTPStatus.OK, {"status": "ok", "missing": []}
    else:
        status, said = HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unavailable", "missing": ["sockets"]}
    body = dumps(said)
    headers = [(b"Content-Type", content_type.encode()), (b"Content-Length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})


database_check.start()
application = ProtocolTypeRouter({"http": http, "websocket": websockets})
liveness.touch_by_reactor()

# A garbage collection stops all sockets. Objects that are loaded by now are never garbage, so it skips them. A
# socket's objects live as long as the socket: by default, every seventh that connects would start a collection.
gc.freeze()
gc.set_threshold(20_000)
