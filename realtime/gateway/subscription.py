"""A subscription: a stream that has subscribers in this process, with its latest frame.

Runs on Daphne's event loop. A subscription exists from its first subscriber until the hub finds that it has none.
"""

import asyncio
from datetime import datetime

from realtime import streams
from realtime.gateway import frames
from realtime.gateway.frames import Text
from realtime.gateway.subscriber import Subscriber
from realtime.rate_limits import Throttle
from realtime.store import Frame


class Subscription:
    """The hub's state of one stream. Times are on the loop's clock.

    `sent`: the version last sent to all subscribers. `sender`: the task that is sending now, if any. `asked_at`:
    when the hub last asked Redis for a frame because `frame` was None. `healed_at`: when healing last read and
    marked the stream. `heartbeat_at`: when its subscribers last had a heartbeat. `refresh`: the seconds between two
    healings.
    """

    def __init__(self, *, stream: str, now: float) -> None:
        definition = streams.definition_of(stream)
        self.stream = stream
        self.subscribers: set[Subscriber] = set()
        self.frame: Frame | None = None
        self.sent = 0
        self.sender: asyncio.Task[None] | None = None
        self.throttle = Throttle(interval=definition.interval, burst=definition.burst)
        self.refresh = definition.refresh
        self.asked_at: float | None = None
        self.healed_at = now
        self.heartbeat_at = now

    def accept(self, frame: Frame) -> bool:
        """Keep the frame if it is newer than the kept one, and return whether it has to be sent.

        A newer frame with the content that was sent last is not sent. The next subscriber gets it as its snapshot.
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
        """Return the kept frame as a snapshot for sockets. There must be a kept frame."""
        assert self.frame is not None  # noqa: S101
        return frames.state("snapshot", self.frame, now=now)
