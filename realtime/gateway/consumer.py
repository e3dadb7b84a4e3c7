"""The consumer: accepts a socket, admits it to one stream and hands it to the hub, which does the rest.

Runs on Daphne's event loop, one object for each socket. A consumer ends with its socket, and whatever it took (a
subscription, a place among the address's sockets) is given back then, also when the server stops.
"""

import asyncio
import logging
from collections.abc import Hashable, Mapping
from typing import Any

import orjson
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.db import InterfaceError, OperationalError

from overlord.kernel import client_address
from realtime.gateway import daphne_socket, hub
from realtime.gateway.access import Admission, RefusedError, admit
from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Subscriber
from realtime.rate_limits import CLIENT_FRAMES, CLIENT_FRAMES_SECONDS, ConcurrencyLimit, FixedWindow

logger = logging.getLogger(__name__)

SUBPROTOCOL = "overlord.v1"
LARGEST_FRAME = (
    4096  # bytes of a client's frame; Daphne's own limit is higher, since it closes without a code
)
RESYNC = {"type": "resync"}


class StreamConsumer(AsyncConsumer):
    """One socket on one stream. Its route names the `kind` of stream: None for an address that no route knows."""

    channel_layer_alias = None  # the hub alone is a member of the channel layer

    def __init__(self, *, kind: str | None = None) -> None:
        self.kind = kind
        self.subscriber: Subscriber | None = None
        self.closed = False
        self.acquired: list[tuple[ConcurrencyLimit, Hashable]] = []
        self.received = FixedWindow(limit=CLIENT_FRAMES, seconds=CLIENT_FRAMES_SECONDS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await self.close(CloseCode.NOT_READY)
            await asyncio.sleep(hub.GOING_AWAY_SECONDS)
            raise
        finally:
            if self.subscriber is not None:
                hub.current().detach(self.subscriber)
            for limit, holder in self.acquired:
                limit.release(holder)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one message. (Channels would first wait for its one database thread, each time.)"""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(text=message.get("text"), data=message.get("bytes"))
            case "websocket.disconnect":
                raise StopConsumer

    async def connect(self) -> None:
        """Accept the socket and attach it to its stream, or close it with the code that says why not."""
        daphne_socket.tell_faults(self.base_send)
        offered = SUBPROTOCOL in self.scope["subprotocols"]
        await self.send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        changes = hub.current().revocation.changes
        try:
            self._acquire(hub.current().addresses, _address(self.scope))
            admission = await self._admitted()
        except RefusedError as refused:
            await self.close(refused.code)
        except (OperationalError, InterfaceError) as error:
            logger.warning("A socket could not be admitted without the database: %s", str(error).strip())
            await self.close(CloseCode.NOT_READY)
        else:
            self.subscriber = Subscriber(
                stream=admission.stream, send=self.base_send, credential=admission.credential
            )
            hub.current().close_before_shutdown(self.base_send)
            await hub.current().attach(self.subscriber)
            if admission.credential is not None and hub.current().revocation.changes != changes:
                hub.current().revocation.check_soon(admission.credential)

    def _acquire(self, limit: ConcurrencyLimit, holder: Hashable) -> None:
        """Count the socket; with too many, tell it to reconnect, since another may have closed by then."""
        if not limit.acquire(holder):
            raise RefusedError(CloseCode.NOT_READY)
        self.acquired.append((limit, holder))

    async def _admitted(self) -> Admission:
        if self.kind is None:
            raise RefusedError(CloseCode.NO_SUCH_STREAM)
        named = self.scope["url_route"]["kwargs"]
        digits = named.get("id")
        stream_id = None if digits is None else int(digits)
        if stream_id is not None and stream_id >= 2**63:
            raise RefusedError(CloseCode.NO_SUCH_STREAM)
        admission = await admit(self.scope, kind=self.kind, stream_id=stream_id, link=named.get("link"))
        if admission.credential is not None:
            self._acquire(hub.current().users, admission.credential.user_id)
        return admission

    async def receive(self, *, text: str | None, data: bytes | None) -> None:
        """Answer `{"type": "resync"}`, and close on anything else."""
        sent = text.encode() if text is not None else data or b""
        if self.closed or self.subscriber is None:
            return
        if not self.received.allows(now=asyncio.get_running_loop().time()):
            await self.close(CloseCode.POLICY)
            daphne_socket.stop_reading(self.base_send)
        elif len(sent) > LARGEST_FRAME:
            await self.close(CloseCode.TOO_BIG)
        elif text is None or not _is_resync(sent):
            await self.close(CloseCode.POLICY)
        else:
            hub.current().resync(self.subscriber)

    async def close(self, code: CloseCode) -> None:
        """Close the socket, once."""
        if not self.closed:
            self.closed = True
            if self.subscriber is not None:
                hub.current().detach(self.subscriber)
            await daphne_socket.close(self.base_send, code)


def _is_resync(text: bytes) -> bool:
    try:
        return bool(orjson.loads(text) == RESYNC)
    except orjson.JSONDecodeError:
        return False


def _address(scope: Mapping[str, Any]) -> str:
    """Return the address by which a socket counts. Daphne would take one that the client may have written."""
    forwarded = [value.decode("latin1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    peer, _port = scope.get("client") or ("", 0)
    return client_address.of_forwarded(",".join(forwarded), peer=peer)
