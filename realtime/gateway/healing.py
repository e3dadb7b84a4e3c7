"""What keeps screens right when something was lost: a message, a notice, Redis, the workers, or a right to look.

Note [Healing]: nobody's silence is trusted. Each stream with viewers is marked anew every few seconds, so that a
drain reads it again, and its kept frame is read, so that a frame that was lost on the way is found. Unchanged state
is not sent again. A loss is therefore mended within one such period, whatever it was. When drains do not get
through, the sockets are told by heartbeats that what they show may be old.
"""

import asyncio
from typing import TYPE_CHECKING

from redis import RedisError

from realtime import publish
from realtime.gateway import access

if TYPE_CHECKING:
    from realtime.gateway.hub import Hub

STEP_SECONDS = 1.0
DEAF_SECONDS = 4.0  # without a sign of a drain before sockets are told; drains are made each second
ACCESS_SECONDS = 30.0
AT_ONCE = 300


class Healing:
    """The healing of one hub. `live`: whether changes are being heard of."""

    def __init__(self, hub: "Hub", *, now: float) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._heard_at = now
        self._lost = False
        self.live = True

    async def step(self) -> None:
        """Will wait a second, and then heal what is due."""
        await asyncio.sleep(STEP_SECONDS)
        await self.heal(now=self._loop.time())

    async def heal(self, *, now: float) -> None:
        """Will read and mark anew the streams that are due at `now`: all of them once Redis is back."""
        try:
            drains = await self._hub.source.greet(hub=self._hub.name, viewers=len(self._hub.viewers()))
        except (OSError, TimeoutError, RedisError):
            self._lost = True
            await self._tell(live=now - self._heard_at < DEAF_SECONDS)
            raise
        self._heard_at = now if drains else self._heard_at
        await self._tell(live=now - self._heard_at < DEAF_SECONDS)
        due = [feed for feed in self._hub.feeds.values() if self._lost or feed.heal_at <= now]
        self._lost = False
        for feed in due:
            feed.heal_at = now + feed.refresh
        names = [feed.stream for feed in due if feed.frame is not None]
        for start in range(0, len(names), AT_ONCE):
            part = names[start : start + AT_ONCE]
            await self._hub.read_kept(part)
            await asyncio.to_thread(publish.streams_mark, streams=part)

    async def _tell(self, *, live: bool) -> None:
        if live != self.live:
            self.live = live
            now = self._loop.time()
            for feed in self._hub.feeds.values():
                feed.heartbeat_at = now
            await self._hub.heartbeats(now=now)

    async def access_step(self) -> None:
        """Will wait half a minute, and then ask again who may watch."""
        await asyncio.sleep(ACCESS_SECONDS)
        await self.check_access()

    async def check_access(self) -> None:
        """Will close the sockets of those who logged out, or lost a token, an account, or a rank."""
        viewers = {viewer: viewer.credential for viewer in self._hub.viewers() if viewer.credential}
        codes = await access.lapsed([*viewers.values()])
        for viewer, credential in viewers.items():
            if credential in codes:
                await self._hub.close(viewer, codes[credential])
