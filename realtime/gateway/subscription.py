"""A stream that has viewers in this process."""

import asyncio
from datetime import datetime

from realtime import streams
from realtime.gateway import frames
from realtime.gateway.subscriber import Text, Viewer
from realtime.rate_limits import Pace
from realtime.store import Frame

HEARTBEAT_SECONDS = 15.0


class Feed:
    """What the hub knows of one stream; times are on the loop's clock.

    `asked_at`: when a missing frame was last asked for. `sent`: the version that was last sent out.
    `heal_at`: when the stream is to be read anew, whatever was heard.
    """

    def __init__(self, *, stream: str, now: float) -> None:
        kind = streams.kind_of(stream)
        self.stream = stream
        self.viewers: set[Viewer] = set()
        self.frame: Frame | None = None
        self.asked_at: float | None = None
        self.sent = 0
        self.pace = Pace(interval=kind.interval)
        self.refresh = kind.refresh
        self.sender: asyncio.Task[None] | None = None
        self.heartbeat_at = now + HEARTBEAT_SECONDS
        self.heal_at = now + kind.refresh

    def accept(self, frame: Frame) -> bool:
        """Will keep the frame if it is newer, and say whether that is to be sent.

        A newer frame that shows the same needs no sending, but it is the one for whoever comes next.
        """
        kept = self.frame
        if kept is not None and kept.version >= frame.version:
            return False
        self.frame = frame
        if kept is None or kept.fingerprint != frame.fingerprint or self.sent < kept.version:
            return True
        self.sent = frame.version
        return False

    def snapshot(self, *, now: datetime) -> Text:
        """Will write the kept frame for one viewer; once a frame for all who come."""
        assert self.frame is not None  # noqa: S101
        return frames.state("snapshot", self.frame, now=now)
