"""The text of what sockets are sent. `data` is JSON already, made once by the drain and never parsed here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from overlord.kernel.rendering import dumps
from realtime.gateway.subscriber import Text
from realtime.store import Frame


def state(kind: Literal["snapshot", "update"], frame: Frame, *, now: datetime) -> Text:
    """Will write a frame that carries its stream's whole state."""
    return Text(f'{_head(kind, frame.stream, frame.version, now)},"data":{frame.data}}}')


def heartbeat(stream: str, version: int, *, live: bool, now: datetime) -> Text:
    """Will write a sign of life with the version last sent; `live` says whether changes would be heard of."""
    return Text(
        f'{_head("heartbeat", stream, version, now)},"data":{{"live":{"true" if live else "false"}}}}}'
    )


def expiring(stream: str, version: int, notice: Mapping[str, Any], *, now: datetime) -> Text:
    """Will write advice that stands beside the stream's state and changes nothing in it."""
    return Text(f'{_head("expiring", stream, version, now)},"data":{dumps(notice).decode()}}}')


def _head(kind: str, stream: str, version: int, now: datetime) -> str:
    # The kind, the stream's name and the time hold nothing that JSON would escape.
    time = now.isoformat().replace("+00:00", "Z")
    return f'{{"type":"{kind}","stream":"{stream}","version":{version},"server_time":"{time}"'
