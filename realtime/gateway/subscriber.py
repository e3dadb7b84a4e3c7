"""A subscriber: one socket on one stream, as the hub has it.

Runs on Daphne's event loop. A subscriber exists from the admission of its socket until the hub detaches it.
"""

from asyncio import TimerHandle

from realtime import rate_limits
from realtime.gateway import daphne_socket
from realtime.gateway.access import Credential
from realtime.gateway.daphne_socket import CloseCode, Send
from realtime.gateway.frames import Text
from realtime.rate_limits import Throttle


class Subscriber:
    """One socket on one stream.

    `version` is the version of the state that was last sent to the socket; None before the first state. `writer` is
    None if all frames go through ASGI, which does not show whether the client is slow. A client's `resync` asks for
    the whole state; `resyncs` limits how often it is answered. `timers` has the running timers by their purpose.
    """

    __slots__ = ("_send", "credential", "resyncs", "stream", "timers", "version", "writer")

    def __init__(self, *, stream: str, send: Send, credential: Credential | None = None) -> None:
        self.stream = stream
        self.credential = credential
        self.version: int | None = None
        self.resyncs = Throttle(interval=rate_limits.RESYNC_SECONDS)
        self.timers: dict[str, TimerHandle] = {}
        self.writer = daphne_socket.writer_for(send)
        self._send = send

    async def send_text(self, text: Text) -> None:
        """Send a text after all texts that wait."""
        if self.writer is not None:
            self.writer.send(text.frame)
        else:
            await self._send({"type": "websocket.send", "text": text.text})

    async def close(self, code: CloseCode) -> None:
        """Close the socket with the code."""
        await daphne_socket.close(self._send, code)

    def stop_timers(self) -> None:
        """Cancel the timers of this socket."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
