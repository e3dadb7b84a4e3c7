"""WebSockets, served by Daphne. HTTP is Granian's: here it only says that the process lives."""

import gc
import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

http = get_asgi_application()  # sets Django up, so it comes before what imports models

from realtime.gateway.routing import websockets  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": websockets})

gc.freeze()  # what is loaded by now stays: a full collection stops all sockets for 50 ms, and not for 100 and more
