"""Readers who take frames more slowly than they come: they skip to the latest, and are closed if they stay so."""

import asyncio
from typing import TYPE_CHECKING

from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Viewer

if TYPE_CHECKING:
    from realtime.gateway.hub import Hub

STEP_SECONDS = 0.1
LOOK_SECONDS = 1.0  # between two looks at those whom nothing was offered
PATIENCE = 10.0
MOST_WAITING = 1024 * 1024  # bytes; answers to a client's pings, which no limit of ours holds back


class SlowReaders:
    """The viewers of one hub who have bytes waiting, each with the time since when."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._since: dict[Viewer, float] = {}
        self._look_at = 0.0
        self._found = asyncio.Event()

    def __contains__(self, viewer: Viewer) -> bool:
        return viewer in self._since

    def add(self, viewer: Viewer) -> None:
        """Will remember that the viewer could not be handed something."""
        self._since.setdefault(viewer, self._loop.time())
        self._found.set()

    async def step(self) -> None:
        """Will wait a moment, a second where nobody is slow, and then see who has caught up and who has not."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._found.wait()
                await asyncio.sleep(STEP_SECONDS)
        except TimeoutError:
            pass
        await self.look(now=self._loop.time())

    async def look(self, *, now: float) -> None:
        """Will show the latest to those who have caught up by `now`, and close those who are slow for too long."""
        if self._look_at <= now:
            self._look_at = now + LOOK_SECONDS
            for viewer in self._hub.viewers():
                if viewer.line is not None and viewer.line.waiting():
                    self.add(viewer)
        for viewer, since in [*self._since.items()]:
            feed = self._hub.feeds.get(viewer.stream)
            waiting = viewer.line.waiting() if viewer.line is not None else 0
            if feed is None or viewer not in feed.viewers:
                del self._since[viewer]
            elif not waiting:
                del self._since[viewer]
                await self._hub.send_latest(feed, [viewer])
            elif now - since >= PATIENCE or waiting > MOST_WAITING:
                del self._since[viewer]
                await self._hub.close(viewer, CloseCode.SLOW_OR_SILENT)
        if not self._since:
            self._found.clear()
