"""Write the frames for sockets: the JSON text of each, and its bytes as a WebSocket frame.

Runs on Daphne's event loop. A stream's `data` is JSON that the flush has made; it is never parsed here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from overlord.kernel.rendering import dumps
from realtime.gateway import daphne_socket
from realtime.store import Frame


class Text:
    """A text for sockets, and the WebSocket frame that carries it, built once for all of them."""

    __slots__ = ("frame", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.frame = daphne_socket.frame_of(text)


def state(kind: Literal["snapshot", "update"], frame: Frame, *, now: datetime) -> Text:
    """Return the frame for sockets with the stream's whole state. `frame` is not a tombstone."""
    return Text(f'{_head(kind, frame.stream, frame.version, now)},"data":{frame.data}}}')


def heartbeat(stream: str, version: int, *, live: bool, now: datetime) -> Text:
    """Return a heartbeat: the version last sent to its sockets, and whether changes get through (`live`)."""
    return Text(
        f'{_head("heartbeat", stream, version, now)},"data":{{"live":{"true" if live else "false"}}}}}'
    )


def expiring(stream: str, version: int, advice: Mapping[str, Any], *, now: datetime) -> Text:
    """Return the advice that a hold ends soon: a frame that does not change the stream's state."""
    return Text(f'{_head("expiring", stream, version, now)},"data":{dumps(advice).decode()}}}')


def _head(kind: str, stream: str, version: int, now: datetime) -> str:
    # The kind, the stream's name and the time contain nothing that JSON would escape.
    time = now.isoformat().replace("+00:00", "Z")
    return f'{{"type":"{kind}","stream":"{stream}","version":{version},"server_time":"{time}"'
