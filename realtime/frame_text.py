"""The text of what sockets are sent. `data` is JSON already, made once by the drain and never parsed here."""

from datetime import datetime
from typing import Literal

from realtime.store import Frame


def state(kind: Literal["snapshot", "update"], frame: Frame, *, now: datetime) -> str:
    """Will write a frame that carries its stream's whole state."""
    return f'{_head(kind, frame.stream, frame.version, now)},"data":{frame.data}}}'


def heartbeat(stream: str, version: int, *, now: datetime) -> str:
    """Will write a sign of life with the version last sent."""
    return _head("heartbeat", stream, version, now) + "}"


def _head(kind: str, stream: str, version: int, now: datetime) -> str:
    # The kind, the stream's name and the time hold nothing that JSON would escape.
    time = now.isoformat().replace("+00:00", "Z")
    return f'{{"type":"{kind}","stream":"{stream}","version":{version},"server_time":"{time}"'
