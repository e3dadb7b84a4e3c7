"""All who use the system in a run: buyers, gates, staff, the gateway and screens, on an event loop of their own.

The loop runs in one thread. The main thread opens and closes the market, and asks what has not settled yet.
"""

import asyncio
import random
import secrets
import threading
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Protocol

import aiohttp
import psycopg2
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone

from overlord.accounts import services as accounts
from overlord.accounts.models import User
from tests.chaos import screens, staff
from tests.chaos.buyers import PATIENCE, Buyer, Client, Market
from tests.chaos.history import History
from tests.chaos.readings import Readings, connect, rows
from tests.chaos.screens import Screen, Truth
from tickets.models import Event, Inventory, TicketType

CAPACITIES = (60, 300, 4000)
PRICES = (0, 700, 2500)
EVENTS = 2
SCREENS_OF_EVENTS = 3
SCREENS_OF_BUYERS = 16
GATES = 4
RIGHTS = ("use_door", "refund_payment")


class Reached(Protocol):
    """The facts about the system that a crowd needs."""

    skewed_port: int  # of a server with a wrong clock; 0: none

    @property
    def url(self) -> str: ...

    @property
    def database_url(self) -> str: ...


class Crowd:
    """The load of a run."""

    def __init__(self, *, stage: Reached, history: History, buyers: int, seed: int) -> None:
        self._stage, self._history, self._number = stage, history, buyers
        self._dice = random.Random(seed + 1)  # noqa: S311
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._public: list[asyncio.Task[None]] = []
        self._screens: list[Screen] = []
        self._buyers: list[int] = []
        self.market = Market()
        self.foreign = 0

    # Called from the main thread ---------------------------------------------------------------------------
    def begin(self) -> None:
        """Make the accounts, and start everyone's task; nobody buys before the market opens."""
        people = [self._account() for _ in range(self._number)]
        worker, _ = self._account(staff=True)
        self._buyers = [pk for _, pk in people]
        threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True).start()
        self._do(self._come([(token, pk) for token, pk in people], worker))

    def end(self) -> None:
        """Cancel everyone's task, and stop the loop."""
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def new_market(self) -> None:
        """Put new events on sale, and let screens watch them."""
        connection.close()  # the last storm may have ended it
        events = {}
        for _ in range(EVENTS):
            date = timezone.now() + timedelta(days=30)
            event = Event.objects.create(name=f"Event {secrets.token_hex(3)}", date=date, currency="EUR")
            events[event.pk] = [
                self._type(event, capacity, price) for capacity, price in zip(CAPACITIES, PRICES, strict=True)
            ]
        self.market.events = events
        self._do(self._watch_events())

    def open(self, opened: bool) -> None:
        """Let buyers buy, or let each only finish what was begun."""
        change = self.market.open.set if opened else self.market.open.clear
        self._loop.call_soon_threadsafe(change)

    def drop_screens(self) -> None:
        self._loop.call_soon_threadsafe(lambda: [screen.drop() for screen in self._screens])

    def waiting(self, readings: Readings) -> dict[str, Any]:
        """Return what has not settled, by name; nothing when all has."""
        try:
            found: dict[str, Any] = dict(readings.stuck())
            truth = self._truth(readings.url)
        except psycopg2.Error:
            return {"postgres": "does not answer"}
        if self.market.busy:
            found["clients without an answer"] = self.market.busy
        self.foreign = sum(len(screens.foreign(screen, truth)) for screen in self._screens)
        differing = [
            (screen.path, how) for screen in self._screens if (how := screens.differs(screen, truth))
        ]
        if differing:
            found["screens"] = differing
        return found

    def sockets(self) -> dict[str, int]:
        """Return how many screens there are, and what they received."""
        return {
            "screens": len(self._screens),
            "connections": sum(screen.connections for screen in self._screens),
            "frames": sum(screen.frames for screen in self._screens),
        }

    def closes(self, since: float) -> Counter[int | None]:
        """Count the codes with which the servers closed screens since a moment."""
        return Counter(code for screen in self._screens for at, code in screen.closes if at >= since)

    def _account(self, *, staff: bool = False) -> tuple[str, int]:
        name = f"chaos-{secrets.token_hex(4)}"
        user = User.objects.create(username=name, email=f"{name}@example.org", password="!", is_staff=staff)
        if staff:
            wanted = Permission.objects.filter(codename__in=RIGHTS)
            user.user_permissions.add(*wanted)
        return accounts.token_issue(user=user, lifetime=timedelta(days=1), now=timezone.now()), user.pk

    def _type(self, event: Event, capacity: int, price_minor: int) -> int:
        made = TicketType.objects.create(
            event=event, name=f"Type {capacity}", price_minor=price_minor, max_per_user=1_000_000
        )
        Inventory.objects.create(ticket_type=made, capacity=capacity, closes_at=event.date)
        return made.pk

    def _truth(self, url: str) -> Truth:
        reading = connect(url)
        try:
            with reading:
                types = rows(reading, screens.TRUTH_TYPES, list(self.market.events))
                live = rows(reading, screens.TRUTH_LIVE, self._buyers)
                owners = rows(reading, screens.TRUTH_OWNERS, self._buyers)
        finally:
            reading.close()
        by_buyer: dict[int, dict[int, str]] = {}
        for row in live:
            by_buyer.setdefault(row["buyer_id"], {})[row["id"]] = row["state"]
        return Truth(
            types={row["ticket_type_id"]: row for row in types},
            live=by_buyer,
            owners={row["id"]: row["buyer_id"] for row in owners},
        )

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    # On the loop -------------------------------------------------------------------------------------------
    async def _come(self, people: list[tuple[str, int]], worker: str) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self._sockets = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5))
        door: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        refunds: asyncio.Queue[int] = asyncio.Queue()
        for token, pk in people:
            buyer = Buyer(pk, self._client(token), self.market, door, refunds)
            self._tasks.append(self._loop.create_task(self._act(buyer)))
        for token, pk in people[:SCREENS_OF_BUYERS]:
            screen = self._screen("/ws/me/", owner=pk, of=pk, headers={"Authorization": f"Token {token}"})
            self._tasks.append(self._loop.create_task(screen.live()))
        for _ in range(GATES):
            self._tasks.append(self._loop.create_task(staff.gate(self._client(worker), self.market, door)))
        self._tasks += [
            self._loop.create_task(staff.refund(self._client(worker), self.market, refunds)),
            self._loop.create_task(
                staff.gateway(self._client(worker), self.market, self._stage.database_url)
            ),
        ]

    async def _act(self, buyer: Buyer) -> None:
        """Act as this buyer until the run ends."""
        await buyer.live()

    async def _watch_events(self) -> None:
        for task in self._public:
            task.cancel()
        self._screens = [screen for screen in self._screens if screen.owner is not None]
        self._public = []
        for event in self.market.events:
            for _ in range(SCREENS_OF_EVENTS):
                screen = self._screen(
                    f"/ws/events/{event}/", owner=None, of=event, headers={"Origin": self._stage.url}
                )
                self._public.append(self._loop.create_task(screen.live()))

    async def _leave(self) -> None:
        tasks = [*self._tasks, *self._public]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()
        await self._sockets.close()

    def _client(self, token: str) -> Client:
        urls = [self._stage.url]
        if self._stage.skewed_port:
            urls.append(f"http://127.0.0.1:{self._stage.skewed_port}")
        dice = random.Random(self._dice.random())  # noqa: S311
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        return Client(self._session, urls, headers, self._history, dice)

    def _screen(self, path: str, *, owner: int | None, of: int, headers: dict[str, str]) -> Screen:
        made = Screen(
            session=self._sockets, url=self._stage.url, path=path, headers=headers, history=self._history,
            owner=owner, of=of, dice=random.Random(self._dice.random()),  # noqa: S311
        )  # fmt: skip
        self._screens.append(made)
        return made
