"""A socket's way in: it is accepted, admitted to one stream and handed to the hub, which does the rest."""

import asyncio
import logging
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any

import orjson
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.db import InterfaceError, OperationalError

from realtime.gateway import daphne_socket, hub
from realtime.gateway.access import Admission, RefusedError, admit
from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Viewer
from realtime.rate_limits import Allowance, Places

logger = logging.getLogger(__name__)

SUBPROTOCOL = "overlord.v1"
LARGEST = 4096  # bytes of a client's frame; Daphne's own limit is above, since it closes without a code
MOST_SAID = 30  # frames of a client's in SAID_SECONDS
SAID_SECONDS = 10.0
RESYNC = {"type": "resync"}


class StreamConsumer(AsyncConsumer):
    """One socket on one stream: of the kind its route names, or on none, where nothing has the address."""

    channel_layer_alias = None  # the hub alone is a member of the channel layer

    def __init__(self, *, kind: str | None = None) -> None:
        self.kind = kind
        self.viewer: Viewer | None = None
        self.closed = False
        self.places: list[tuple[Places, Hashable]] = []
        self.said = Allowance(most=MOST_SAID, seconds=SAID_SECONDS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await self.close(CloseCode.NOT_READY)
            await asyncio.sleep(hub.GOING_AWAY_SECONDS)
            raise
        finally:
            if self.viewer is not None:
                hub.current().detach(self.viewer)
            for places, whose in self.places:
                places.leave(whose)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Will handle one message. Channels' own way would first queue for the database's one thread."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(text=message.get("text"), data=message.get("bytes"))
            case "websocket.disconnect":
                raise StopConsumer

    async def connect(self) -> None:
        """Will accept the socket and show it its stream, or close it with the code that says why not."""
        daphne_socket.tell_faults(self.base_send)
        offered = SUBPROTOCOL in self.scope["subprotocols"]
        await self.send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        try:
            self._take_place(hub.current().addresses, _address(self.scope.get("client")))
            admission = await self._admitted()
        except RefusedError as refused:
            await self.close(refused.code)
        except (OperationalError, InterfaceError) as error:
            logger.warning("A log-in could not be looked up: %s", str(error).strip())
            await self.close(CloseCode.NOT_READY)
        else:
            self.viewer = Viewer(
                stream=admission.stream, send=self.base_send, credential=admission.credential
            )
            hub.current().part_with(self.base_send)
            await hub.current().attach(self.viewer)

    def _take_place(self, places: Places, whose: Hashable) -> None:
        """Whoever has too many sockets is asked to come again: another of them may have gone by then."""
        if not places.take(whose):
            raise RefusedError(CloseCode.NOT_READY)
        self.places.append((places, whose))

    async def _admitted(self) -> Admission:
        if self.kind is None:
            raise RefusedError(CloseCode.NO_SUCH_STREAM)
        digits = self.scope["url_route"]["kwargs"].get("id")
        stream_id = None if digits is None else int(digits)
        if stream_id is not None and stream_id >= 2**63:
            raise RefusedError(CloseCode.NO_SUCH_STREAM)
        admission = await admit(self.scope, kind=self.kind, stream_id=stream_id)
        if admission.credential is not None:
            self._take_place(hub.current().users, admission.credential.user_id)
        return admission

    async def receive(self, *, text: str | None, data: bytes | None) -> None:
        """Will answer `{"type": "resync"}`, and close on anything else."""
        sent = text.encode() if text is not None else data or b""
        if self.closed or self.viewer is None:
            return
        if not self.said.allows(now=asyncio.get_running_loop().time()):
            await self.close(CloseCode.POLICY)
            daphne_socket.hear_no_more(self.base_send)
        elif len(sent) > LARGEST:
            await self.close(CloseCode.TOO_BIG)
        elif text is None or not _is_resync(sent):
            await self.close(CloseCode.POLICY)
        else:
            hub.current().resync(self.viewer)

    async def close(self, code: CloseCode) -> None:
        """Will close the socket, once."""
        if not self.closed:
            self.closed = True
            if self.viewer is not None:
                hub.current().detach(self.viewer)
            await daphne_socket.close(self.base_send, code)


def _is_resync(text: bytes) -> bool:
    try:
        return bool(orjson.loads(text) == RESYNC)
    except orjson.JSONDecodeError:
        return False


def _address(client: tuple[str, int] | None) -> str:
    """Whose address it is: of IPv6 the network, since anyone has 2**64 addresses in one."""
    if client is None:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:
        return ""
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else client[0]
