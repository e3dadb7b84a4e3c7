"""One stranger at an opening: the requests of a person's browser, from the first page to the paid ticket."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from benchmarks.opening.browser import Browser, Stream, WrongAnswerError

PASSWORD = "wait for the opening"  # noqa: S105  (of each buyer the benchmark makes)
REFUSALS = (409, 429, 503)  # answers that the documents name: no, or not now


class Known(StrEnum):
    """How a stranger becomes known."""

    LOGIN = "log in"
    SIGNUP = "sign up"
    GUEST = "guest"


# The steps by name, in their order. A stranger takes one of Known.
STEPS = ("home page", "event page", *Known, "reserve", "own socket", "pay")


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The port of the front server, the event that opens, and its ticket types."""

    port: int
    event: int
    types: list[int]


@dataclass
class Stranger:
    """A person who wants a ticket. Times are by `time.perf_counter()`, `None` until then."""

    shop: Shop
    number: int
    known: Known
    arrived: float = 0.0
    held: float | None = None
    paid: float | None = None
    refused: int | None = None
    error: str | None = None
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        # Each stranger has its own address, as most people have: the shop limits the requests from one address.
        high, low = divmod(self.number % 60_000, 250)
        self.browser = Browser(self.shop.port, source=f"127.1.{high}.{low + 1}")
        self._screen = contextlib.AsyncExitStack()
        self._mine: Stream | None = None
        self._reservation = self._payment = 0

    @property
    def steps(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the steps of STEPS that this stranger takes."""
        become_known = {Known.LOGIN: self._log_in, Known.SIGNUP: self._sign_up, Known.GUEST: self._be_guest}
        return {
            "home page": partial(self._visit, "/", "/ws/events/"),
            "event page": partial(
                self._visit, f"/events/{self.shop.event}/", f"/ws/events/{self.shop.event}/"
            ),
            self.known.value: become_known[self.known],
            "reserve": self._reserve,
            "own socket": self._follow_mine,
            "pay": self._pay,
        }

    async def buy(self, *, patience: float) -> None:
        """Take all steps; give up after so many seconds. Note what goes wrong, and raise nothing."""
        self.arrived = time.perf_counter()
        try:
            async with asyncio.timeout(patience):
                for step in self.steps.values():
                    await self.take(step)
        except TimeoutError:
            self.error = self.error or f"gave up after {patience:.0f} s"
        finally:
            await self.leave()

    async def take(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take one step, unless an earlier one went wrong; note what goes wrong."""
        if self.refused or self.error:
            return
        try:
            await step()
        except WrongAnswerError as wrong:
            if wrong.status in REFUSALS:
                self.refused = wrong.status
            else:
                self.error = str(wrong)
        except (OSError, EOFError, ValueError) as lost:
            self.error = f"{type(lost).__name__}: {lost}"

    async def leave(self) -> None:
        """Close everything."""
        await self._screen.aclose()
        await self.browser.close()

    async def _visit(self, page: str, stream: str) -> None:
        """Load a page and watch its stream, instead of the last page's."""
        await self.browser.page(page)
        await self._screen.aclose()
        await self._show(stream)

    async def _show(self, path: str) -> Stream:
        stream = await self._screen.enter_async_context(self.browser.follow(path))
        await stream.state()
        return stream

    async def _log_in(self) -> None:
        """Log in as a buyer whom `sale.buyers_make` made, with this stranger's number."""
        given = {"username": f"bench-{self.number}", "password": PASSWORD}
        self.browser.token = (await self.browser.api("POST", "/api-auth/login/", 200, **given))["token"]

    async def _sign_up(self) -> None:
        name = f"stranger-{self.number}"
        given = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        await self.browser.api("POST", "/register/", 201, **given)
        del given["email"]
        self.browser.token = (await self.browser.api("POST", "/api-auth/login/", 200, **given))["token"]

    async def _be_guest(self) -> None:
        self.browser.token = (await self.browser.api("POST", "/register/guest/", 201))["token"]

    async def _reserve(self) -> None:
        wanted = self.shop.types[self.number % len(self.shop.types)]
        made = await self.browser.api("POST", "/event/reservations/", 201, ticket_type=wanted, amount=1)
        self._reservation = made["id"]
        self.held = time.perf_counter()

    async def _follow_mine(self) -> None:
        await self._screen.aclose()
        self._mine = await self._show("/ws/me/")

    async def _pay(self) -> None:
        given: dict[str, object] = {"reservation_id": self._reservation}
        if self.known is Known.GUEST:
            given["email"] = f"guest-{self.number}@example.org"
        self._payment = (await self.browser.api("POST", "/payment/payments/", 201, **given))["id"]
        await self.browser.api("POST", f"/payment/payments/{self._payment}/pay/", 202, token="a card")  # noqa: S106
        while (status := await self._shown()) != "SUCCESS":
            if status == "FAILURE":
                raise ValueError("The payment failed.")
        self.paid = time.perf_counter()

    async def _shown(self) -> str | None:
        """Wait for the next frame of the stranger's own socket; return the payment's status in it."""
        if self._mine is None:
            raise ValueError("The stranger's own socket was never opened.")
        payments = (await self._mine.state())["payments"]
        return next((each["payment_status"] for each in payments if each["id"] == self._payment), None)
