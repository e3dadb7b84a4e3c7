"""The load: reservations and payments offered at a rate, whether or not the cluster keeps up."""

import asyncio
import bisect
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.buyers import PATIENCE, Buyer, Client
from tests.chaos.crowd import Crowd
from tests.chaos.history import Answer, History

PAGE, PAGE_PAUSE = "look on", 0.2


@dataclass
class TimedHistory(History):
    """A history that knows when reservations were acknowledged, and how long pages took."""

    granted_at: list[float] = field(default_factory=list)  # by the monotonic clock
    pages: list[tuple[float, float]] = field(default_factory=list)  # when one was asked for, and the seconds
    # When the server failed, the operation, and the status.
    failed: list[tuple[float, str, int]] = field(default_factory=list)

    def record(self, operation: str, answer: Answer, *, began: float, write: bool, **facts: Any) -> None:
        super().record(operation, answer, began=began, write=write, **facts)
        if answer.ok and operation.startswith("reserve"):
            self.granted_at.append(time.monotonic())
        now = time.monotonic()
        if operation == PAGE:
            self.pages.append((began, now - began))
        if answer.unknown and (answer.status or now - began < PATIENCE - 0.1):  # otherwise the client gave up
            self.failed.append((now, operation, answer.status))

    def failed_between(self, since: float, until: float) -> Counter[str]:
        """Count the requests between the two moments that a server answered with 5xx or with half an answer."""
        return Counter(
            f"{operation}: {status or 'broken off'}"
            for at, operation, status in self.failed
            if since <= at < until
        )

    def granted_between(self, since: float, until: float) -> list[float]:
        """Return when reservations were acknowledged between the two moments."""
        return [each for each in self.granted_at if since <= each <= until]

    def granted_since(self, moment: float) -> bool:
        """Return whether a reservation was acknowledged after the moment."""
        return bool(self.granted_at) and self.granted_at[-1] > moment

    def longest_gap(self, since: float, until: float) -> tuple[float, float]:
        """Return when the longest time without an acknowledged reservation ended, and how long it was."""
        moments = [since, *self.granted_between(since, until), until]
        length, ended = max((later - earlier, later) for earlier, later in itertools.pairwise(moments))
        return ended, length

    def pages_between(self, since: float, until: float) -> list[float]:
        """Return how long the pages took that were asked for between the two moments."""
        return [seconds for began, seconds in self.pages if since <= began < until]

    def rate(self, since: float, until: float) -> float:
        """Return the reservations acknowledged a second between the two moments."""
        return sum(since <= each < until for each in self.granted_at) / (until - since)


def longest_behind(
    granted: list[float], heard: list[float], *, stop: tuple[float, float], now: float
) -> float:
    """Return the longest time from an acknowledged reservation to the next newer state of a screen.

    All are moments of one clock, in order. The time between the two of `stop` does not count: nothing was sold
    then.
    """
    longest = 0.0
    for moment in granted:
        later = bisect.bisect_left(heard, moment)
        shown = heard[later] if later < len(heard) else now
        stopped = max(0.0, min(shown, stop[1]) - max(moment, stop[0]))
        longest = max(longest, shown - moment - stopped)
    return longest


class PacedCrowd(Crowd):
    """Buyers who come at a rate. A buyer who comes while all are busy is turned away, and counted."""

    def __init__(self, *, reservations: float, payments: float, **others: Any) -> None:
        super().__init__(**others)
        self._pause, self._share = 1 / reservations, payments / reservations
        self._idle: list[Buyer] = []
        self._visits: set[asyncio.Task[None]] = set()
        self.came = self.turned_away = 0

    def screens_behind(self, granted: list[float], *, stop: tuple[float, float]) -> float:
        """Return the longest of `longest_behind` among the screens of events."""
        now = time.monotonic()
        public = [screen.heard for screen in self._screens if screen.owner is None]
        return max(longest_behind(granted, heard, stop=stop, now=now) for heard in public)

    async def _act(self, buyer: Buyer) -> None:
        self._idle.append(buyer)
        if len(self._idle) == 1:
            await asyncio.gather(self._arrivals(), self._look_on(buyer.client))

    async def _look_on(self, client: Client) -> None:
        """Read an event again and again, like a visitor who does not buy."""
        while True:
            await self.market.open.wait()
            await client.ask(PAGE, "GET", f"/event/events/{min(self.market.events)}/")
            await asyncio.sleep(PAGE_PAUSE)

    async def _arrivals(self) -> None:
        due = time.monotonic()
        while True:
            await self.market.open.wait()
            due = max(due + self._pause, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.came += 1
            if not self._idle:
                self.turned_away += 1
                continue
            task = self._loop.create_task(self._visit(self._idle.pop(0)))
            self._visits.add(task)
            task.add_done_callback(self._visits.discard)

    async def _visit(self, buyer: Buyer) -> None:
        self.market.busy += 1
        try:
            await buyer.visit(pays=buyer.dice.random() < self._share)
        finally:
            self.market.busy -= 1
            self._idle.append(buyer)

    async def _leave(self) -> None:
        for visit in list(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        await super()._leave()
