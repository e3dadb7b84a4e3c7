"""The application of the live process: WebSockets, and the health checks of this process.

Daphne runs it on one event loop. Granian serves all other HTTP. No page is served here, because a page would need a
thread, and the thread would keep a database connection.
"""

import gc
import os
from http import HTTPStatus
from typing import Any

import django
from channels.routing import ProtocolTypeRouter
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

if not apps.ready:  # a fork is set up already; a second set-up would write to memory that the forks share
    django.setup()  # before the imports of models

from overlord import liveness
from overlord.kernel import database_check, open_files
from overlord.kernel.problems import CONTENT_TYPE, problem
from overlord.kernel.rendering import dumps
from realtime.gateway.routing import websockets


async def http(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Answer the health checks: /livez with 200, /readyz/self with 200 or 503; any other path with 404.

    /readyz/self is 503 while the process cannot take another socket.
    """
    path, content_type = scope["path"].rstrip("/"), "application/json"
    if path == "/livez":
        status = HTTPStatus.OK
        answer: dict[str, Any] = {"status": "ok"}
    elif path != "/readyz/self":
        status, content_type = HTTPStatus.NOT_FOUND, CONTENT_TYPE
        answer = problem(status, code="not_found", detail="There is nothing at this address.")
    elif open_files.has_room():
        status, answer = HTTPStatus.OK, {"status": "ok", "missing": []}
    else:
        status, answer = HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unavailable", "missing": ["sockets"]}
    body = dumps(answer)
    headers = [(b"Content-Type", content_type.encode()), (b"Content-Length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})


database_check.start()
application = ProtocolTypeRouter({"http": http, "websocket": websockets})
liveness.touch_by_reactor()

# All sockets wait while Python collects garbage. So a collection leaves out the objects that exist now, which are
# never garbage. It also starts less often: by Python's default, every seventh new socket would start one.
gc.freeze()
gc.set_threshold(20_000)
