"""The consumer: accepts a socket, checks that it may watch its stream, and hands it to the hub.

Runs on Daphne's event loop, one object for each socket. The hub sends all frames.

What must stay true: when a socket ends, even because the server stops, its subscriber is detached, and the socket
no longer counts against the limits of its address and user.
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
# The largest message of a client, in bytes. Daphne's own limit (server.py) is higher, with the same close code.
LARGEST_FRAME = 4096
RESYNC = {"type": "resync"}


class StreamConsumer(AsyncConsumer):
    """One socket on one stream.

    `kind` is the kind of stream at the socket's address, and None if there is no stream at this address.
    """

    channel_layer_alias = None  # the hub alone is a member of the channel layer

    def __init__(self, *, kind: str | None = None) -> None:
        self.kind = kind
        self.subscriber: Subscriber | None = None
        self.closed = False
        self.acquired: list[tuple[ConcurrencyLimit, Hashable]] = []
        self.client_frames = FixedWindow(limit=CLIENT_FRAMES, seconds=CLIENT_FRAMES_SECONDS)

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
        """Handle one message, without the database thread for which Channels would wait at each message."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(text=message.get("text"), data=message.get("bytes"))
            case "websocket.disconnect":
                raise StopConsumer

    async def connect(self) -> None:
        """Accept the socket, and attach it to its stream or close it with the code of the reason."""
        daphne_socket.explain_protocol_errors(self.base_send)
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
        """Count the socket against a limit, until it ends.

        Raise RefusedError when the limit is reached. The client then reconnects later, when another socket may be
        gone.
        """
        if not limit.acquire(holder):
            raise RefusedError(CloseCode.NOT_READY)
        self.acquired.append((limit, holder))

    async def _admitted(self) -> Admission:
        """Return the stream that this socket may watch; raise RefusedError."""
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
        if not self.client_frames.allows(now=asyncio.get_running_loop().time()):
            await self.close(CloseCode.POLICY)
            daphne_socket.stop_reading(self.base_send)
        elif len(sent) > LARGEST_FRAME:
            await self.close(CloseCode.TOO_BIG)
        elif text is None or not _is_resync(sent):
            await self.close(CloseCode.POLICY)
        else:
            hub.current().resync(self.subscriber)

    async def close(self, code: CloseCode) -> None:
        """Detach the socket and close it with the code. Do nothing at a second call."""
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
    """Return the client's address, for the limit of sockets.

    Daphne's own option for this would take the first address of X-Forwarded-For, which a client can write.
    """
    forwarded = [value.decode("latin1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    peer, _port = scope.get("client") or ("", 0)
    return client_address.of_forwarded(",".join(forwarded), peer=peer)
