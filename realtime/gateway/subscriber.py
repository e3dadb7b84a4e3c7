"""A socket, as the hub sees it."""

from asyncio import TimerHandle

from realtime.gateway import daphne_socket
from realtime.gateway.access import Credential
from realtime.gateway.daphne_socket import CloseCode, Send
from realtime.rate_limits import Pace

RESYNC_SECONDS = 1.0


class Text:
    """A text for sockets, and the WebSocket frame that carries it, built once for all of them."""

    __slots__ = ("frame", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.frame = daphne_socket.frame_of(text)


class Viewer:
    """One socket on one stream. `version` is that of the state last sent to it, None before the first;
    `line` is None where everything goes the plain way of ASGI, which does not show who is slow."""

    __slots__ = ("_send", "credential", "line", "resyncs", "stream", "timers", "version")

    def __init__(self, *, stream: str, send: Send, credential: Credential | None = None) -> None:
        self.stream = stream
        self.credential = credential
        self.version: int | None = None
        self.resyncs = Pace(interval=RESYNC_SECONDS)
        self.timers: dict[str, TimerHandle] = {}
        self.line = daphne_socket.line_to(send)
        self._send = send

    async def send_text(self, text: Text) -> None:
        """Will hand a text to the socket, behind all that waits."""
        if self.line is not None:
            self.line.send(text.frame)
        else:
            await self._send({"type": "websocket.send", "text": text.text})

    async def close(self, code: CloseCode) -> None:
        """Will close the socket with the code."""
        await daphne_socket.close(self._send, code)

    def stop_timers(self) -> None:
        """Will stop what still waits for this socket."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
