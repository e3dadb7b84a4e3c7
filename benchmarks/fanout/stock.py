"""Serve with Channels as its tutorial does: a consumer for each socket, in the event's group."""

import os
from typing import Any

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")
django.setup()


class EventConsumer(AsyncJsonWebsocketConsumer):
    """One socket on one event."""

    groups = ["stock.1"]

    async def frame(self, event: dict[str, Any]) -> None:
        """Send what the group was sent."""
        await self.send_json(event["content"])


application = ProtocolTypeRouter({"websocket": EventConsumer.as_asgi()})
