"""A socket, as the hub sees it."""

from asyncio import TimerHandle

from realtime import daphne_socket
from realtime.close_codes import CloseCode
from realtime.daphne_socket import Send
from realtime.pace import Pace

RESYNC_SECONDS = 1.0


class Viewer:
    """One socket on one stream. `version` is that of the state last sent to it, None before the first."""

    def __init__(self, *, stream: str, send: Send) -> None:
        self.stream = stream
        self.version: int | None = None
        self.resyncs = Pace(interval=RESYNC_SECONDS)
        self.timers: dict[str, TimerHandle] = {}
        self._send = send

    async def send_text(self, text: str) -> None:
        """Will hand a text to the socket. Every text for a socket passes here, the same `str` for all of a
        stream's sockets: the place to write a frame prepared once, and to see that a reader is slow."""
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: CloseCode) -> None:
        """Will close the socket with the code."""
        await daphne_socket.close(self._send, code)

    def stop_timers(self) -> None:
        """Will stop what still waits for this socket."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
