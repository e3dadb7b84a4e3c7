"""Screens that watch the sale and reconnect when they lose their socket.

At the end of a round they must show the database's state.

A screen keeps the state with the highest version. `diverged` compares all of them with the database.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.history import History

AGAIN = (0.1, 1.0)  # seconds before it connects again


@dataclass
class Screen:
    """One viewer of one stream, and the state that it shows now."""

    session: aiohttp.ClientSession
    url: str
    path: str
    headers: dict[str, str]
    history: History
    owner: int | None  # whose reservations it shows; None: a public stream
    of: int  # the event, or the owner
    dice: random.Random
    data: Any = None
    version: int = 0
    frames: int = 0
    connections: int = 0
    foreign: set[int] = field(default_factory=set)
    closes: list[tuple[float, int | None]] = field(default_factory=list)  # when and with which code
    heard: list[float] = field(default_factory=list)  # when each newer state came, by the monotonic clock
    _socket: aiohttp.ClientWebSocketResponse | None = None

    async def live(self) -> None:
        """Follow the stream until the task is cancelled."""
        while True:
            try:
                address = self.url.replace("http", "ws", 1) + self.path
                async with self.session.ws_connect(
                    address, headers=self.headers, protocols=("overlord.v1",), autoping=True
                ) as socket:
                    self._socket = socket
                    self.connections += 1
                    self.version = 0  # a new connection begins with a snapshot
                    async for message in socket:
                        self._take(message)
                    self.closes.append((time.monotonic(), socket.close_code))
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            finally:
                self._socket = None
            await asyncio.sleep(self.dice.uniform(*AGAIN))

    def drop(self) -> None:
        """Cut the connection, as a network does."""
        if self._socket is not None and (transport := self._socket._writer.transport) is not None:
            transport.abort()

    def _take(self, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        frame = json.loads(message.data)
        self.frames += 1
        if frame["type"] in ("snapshot", "update") and frame["version"] > self.version:
            self.version, self.data = frame["version"], frame["data"]
            self.heard.append(time.monotonic())


@dataclass(frozen=True)
class Truth:
    """The state in the database that screens must show."""

    types: dict[int, dict[str, Any]]  # counters by ticket type
    live: dict[int, dict[int, str]]  # states of live reservations, by buyer
    owners: dict[int, int]  # of all reservations of the round


TRUTH_TYPES = """
SELECT i.ticket_type_id, t.event_id, i.capacity - i.held - i.sold AS available, i.held, i.sold
  FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id WHERE t.event_id = ANY(%s)
"""
TRUTH_LIVE = """
SELECT id, buyer_id, state FROM tickets_reservation WHERE buyer_id = ANY(%s) AND state IN ('held', 'paying')
"""
TRUTH_OWNERS = "SELECT id, buyer_id FROM tickets_reservation WHERE buyer_id = ANY(%s)"


def differs(screen: Screen, truth: Truth) -> str | None:
    """Return how a screen differs from the database; None if it does not differ."""
    if screen.data is None:
        return "shows nothing"
    if screen.owner is None:
        for shown in screen.data["tickets"]:
            due = truth.types.get(shown["id"])
            if due and any(shown[name] != due[name] for name in ("available", "held", "sold")):
                return f"shows {shown}, and not {dict(due)}"
        return None
    shown = {each["id"]: each["state"] for each in screen.data["reservations"]}
    live = {pk: state for pk, state in shown.items() if state in ("held", "paying")}
    mine = truth.live.get(screen.owner, {})
    return None if live == mine else f"shows {live}, and not {mine}"


def foreign(screen: Screen, truth: Truth) -> list[int]:
    """Return the reservations on a private screen that belong to another buyer."""
    if screen.owner is None or screen.data is None:
        return []
    shown = [each["id"] for each in screen.data["reservations"]]
    return [pk for pk in shown if truth.owners.get(pk, screen.owner) != screen.owner]
