"""Revocation: closes the sockets of those who may no longer watch.

Runs on Daphne's event loop, as one task of the hub; the database is asked in a pool thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from realtime.gateway import access
from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Subscriber

STEP_SECONDS = 30.0


class Revocation:
    """The check of one hub's credentials."""

    def __init__(
        self,
        *,
        subscribers: Callable[[], Iterable[Subscriber]],
        close: Callable[[Subscriber, CloseCode], Awaitable[None]],
    ) -> None:
        self._subscribers = subscribers
        self._close = close

    async def step(self) -> None:
        """Wait half a minute, then check all credentials."""
        await asyncio.sleep(STEP_SECONDS)
        await self.check()

    async def check(self) -> None:
        """Close the sockets whose session, token, account or staff right has ended."""
        credentials = {
            subscriber: subscriber.credential for subscriber in self._subscribers() if subscriber.credential
        }
        codes = await access.lapsed([*credentials.values()])
        for subscriber, credential in credentials.items():
            if credential in codes:
                await self._close(subscriber, codes[credential])
