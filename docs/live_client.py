"""Follow one live stream: python docs/live_client.py http://127.0.0.1:8080 /ws/events/1/ [TOKEN]"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

SILENCE = 37.5  # seconds: two and a half heartbeats
FINAL = {4401, 4403, 4404}  # a reconnect would change nothing


async def follow(site: str, path: str, show: Callable[[str, Any], None], token: str | None = None) -> int:
    """Call show("live" | "reconnecting" | "stale" | "closed", state) until a close code forbids reconnecting."""
    held: dict[str, Any] = {"version": 0, "data": None}
    failures = 0
    headers = {"Authorization": f"Token {token}"} if token else None
    while True:
        code = 1006
        try:
            origin: Any = None if token else site
            url, spoken = "ws" + site.removeprefix("http") + path, [Subprotocol("overlord.v1")]
            async with connect(url, subprotocols=spoken, additional_headers=headers, origin=origin) as socket:
                while True:
                    await hear(socket, held, show)
                    failures = 0
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
        except (OSError, TimeoutError, WebSocketException):
            pass
        show("closed" if code in FINAL else "reconnecting", held["data"])
        if code in FINAL:
            return code
        await asyncio.sleep(random.uniform(0, min(30, 0.5 * 2**failures)))  # full jitter  # noqa: S311
        failures += 1


async def hear(socket: ClientConnection, held: dict[str, Any], show: Callable[[str, Any], None]) -> None:
    """Wait for a frame, then show the state; ask for a snapshot if an update was missed."""
    frame = json.loads(await asyncio.wait_for(socket.recv(), SILENCE))
    if frame["type"] in ("snapshot", "update") and frame["version"] > held["version"]:
        held.update(version=frame["version"], data=frame["data"])
    elif frame["type"] == "heartbeat" and frame["version"] > held["version"]:
        await socket.send('{"type": "resync"}')
    if frame["type"] != "expiring":
        live = frame["type"] != "heartbeat" or frame["data"]["live"]
        show("live" if live else "stale", held["data"])


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], sys.argv[2], print, *sys.argv[3:]))
