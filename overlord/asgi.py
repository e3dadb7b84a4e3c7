"""WebSockets, served by Daphne on one event loop, and the health checks of this process.

Granian serves all other HTTP. No page is answered here, because each would need a thread, and the thread would keep
a database connection.
"""

import gc
import os
from http import HTTPStatus
from typing import Any

import django
from channels.routing import ProtocolTypeRouter
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

if not apps.ready:  # a fork is set up already, and a second time would write to memory that it shares
    django.setup()  # before the imports of models

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

# While garbage is collected, all sockets wait. The objects that exist now are never garbage: leave them out.
# By default, every seventh new socket would start a collection.
gc.freeze()
gc.set_threshold(20_000)
