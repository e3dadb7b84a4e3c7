"""Disturb the traffic between our processes and the servers: a proxy program with one listener for each server.

    python -m tests.chaos.proxy postgres=LISTEN:TARGET redis=LISTEN:TARGET

Each line on its input is a command in JSON: {"edge": "redis", "toxic": "latency", "amount": 0.2, "share": 0.5}
begins a fault, {"edge": "redis", "toxic": null} heals it. Each is answered by a line with what happened there.
It runs one event loop in one thread, and ends with its input.
"""

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
CHUNK = 65_536
PIECE = 256  # bytes at once where the line is slow
LOOK = 0.05  # seconds between two looks at a line that is cut off
# The requests to PostgreSQL that commit: the end of a transaction, and a claim, which is one statement.
COMMITS = (b"COMMIT\0", b"reservation_claim(", b"reservations_claim(")


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    chance: float = field(default_factory=random.random)
    commits: bool = False  # whether the answer to a commit is on its way

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Edge:
    """One server behind the proxy, and the present fault on the way to it."""

    def __init__(self, name: str, target: int) -> None:
        self.name, self.target = name, target
        self.toxic: str | None = None
        self.amount = 0.0
        self.share = 1.0
        self.links: set[Link] = set()
        self.counts: Counter[str] = Counter()

    def spoil(self, *, toxic: str | None, amount: float = 0.0, share: float = 1.0) -> None:
        """Begin a fault, or heal it. `share` is the part of the connections that have the fault."""
        self.toxic, self.amount, self.share = toxic, amount, share
        if toxic == "cut":
            for link in [each for each in self.links if each.chance < share]:
                self.counts["cut"] += 1
                link.abort()

    def toxic_of(self, link: Link) -> str | None:
        return self.toxic if link.chance < self.share else None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client with the server, until one of them ends."""
        if self.toxic == "cut":
            self.counts["refused"] += 1
            writer.transport.abort()
            return
        try:
            answers, server = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link((writer, server))
        self.links.add(link)
        self.counts["connections"] += 1
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(link, reader, server, asking=True))
                both.create_task(self._pump(link, answers, writer, asking=False))
        except* OSError:
            pass
        finally:
            self.links.discard(link)
            link.abort()

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asking: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._pass(link, data, writer, asking=asking)
        if writer.can_write_eof():
            writer.write_eof()

    async def _pass(self, link: Link, data: bytes, writer: asyncio.StreamWriter, *, asking: bool) -> None:
        """Pass the bytes on, disturbed by the present fault; raises OSError if the fault ends the connection."""
        while self.toxic_of(link) == "black_hole":
            await asyncio.sleep(LOOK)
        toxic = self.toxic_of(link)
        if toxic == "latency":
            await asyncio.sleep(self.amount)
        if toxic == "swallow" and asking and any(commit in data for commit in COMMITS):
            link.commits = True
        elif link.commits and not asking:
            self.counts["swallowed"] += 1
            link.abort()
            raise ConnectionResetError
        if toxic == "slow":
            await self._pass_slowly(link, data, writer)
        else:
            writer.write(data)
        await writer.drain()

    async def _pass_slowly(self, link: Link, data: bytes, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(data), PIECE):
            writer.write(data[start : start + PIECE])
            if self.toxic_of(link) == "slow":
                await asyncio.sleep(PIECE / self.amount)


async def serve(edges: dict[str, tuple[int, Edge]]) -> None:
    """Listen for every server, and carry out the commands on the input until it ends."""
    async with contextlib.AsyncExitStack() as servers:
        for port, edge in edges.values():
            await servers.enter_async_context(
                await asyncio.start_server(edge.accept, HOST, port, backlog=512)
            )
        say({"ready": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command: dict[str, Any] = json.loads(line)
            edge = edges[command.pop("edge")][1]
            if "toxic" in command:
                edge.spoil(**command)
            say(dict(edge.counts))
        for _, edge in edges.values():
            for link in list(edge.links):
                link.abort()


def say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    edges: dict[str, tuple[int, Edge]] = {}
    for argument in arguments:
        name, _, ports = argument.partition("=")
        listen, target = (int(port) for port in ports.split(":"))
        edges[name] = (listen, Edge(name, target))
    asyncio.run(serve(edges))


if __name__ == "__main__":
    main(sys.argv[1:])
