"""Buyers that use the API as programs: coroutines on one event loop.

Each buyer reserves, looks, changes, extends, releases, pays and walks away, with short pauses. Some press twice at
once, some leave before they get an answer. If an outcome is in doubt, the buyer asks again with the same key until
it is known.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.history import Answer, Claim, History, Outcome, outcome_of

PATIENCE = 4.0  # seconds that a client waits for an answer
PAUSE = (0.01, 0.12)  # seconds between two things that a buyer does
DOUBT_PAUSE = 0.5
PAYMENT_POLLS = 12
TOKENS = ("ok",) * 12 + ("card_error", "payment_error", "timeout_charged", "timeout_uncharged", "slow")
ODD_TOKENS = ("card_error", "payment_error", "timeout_charged", "timeout_uncharged", "slow")
VANISHING = 0.04  # of the claims
PRESSING_TWICE = 0.06
SETTLED = ("SUCCESS", "FAILURE", "REFUNDED")


@dataclass
class Market:
    """The ticket types on sale in this round, and whether anyone buys."""

    events: dict[int, list[int]] = field(default_factory=dict)  # ticket types by event
    open: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0  # clients that are in the middle of something


@dataclass
class Client:
    """One person's client of the API."""

    session: aiohttp.ClientSession
    urls: list[str]  # of servers to choose from: the shop, and a web server with a wrong clock
    headers: dict[str, str]
    history: History
    dice: random.Random

    async def ask(
        self,
        operation: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        **facts: Any,
    ) -> Answer:
        """Send a request and record the answer. An error of the network is an answer too, and is not raised."""
        url = self.urls[0] if len(self.urls) < 2 or self.dice.random() > 0.08 else self.urls[1]
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        began = time.monotonic()
        status, found = 0, None
        try:
            async with self.session.request(method, url + path, json=body, headers=headers) as answer:
                text = await answer.text()
                status = answer.status
                found = json.loads(text) if text and "json" in answer.content_type else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            status = 0
        answered = Answer(outcome_of(status), status, found)
        self.history.record(operation, answered, began=began, write=method != "GET", key=key, **facts)
        if status >= 400 and "Traceback" in str(found):
            self.history.surprises.append(f"{operation}: a traceback in an answer")
        return answered


@dataclass
class Buyer:
    """A buyer with an account, and the buyer's holds."""

    pk: int
    client: Client
    market: Market
    door: "asyncio.Queue[tuple[int, str]]"
    refunds: "asyncio.Queue[int]"
    holds: dict[int, int] = field(default_factory=dict)  # reservations by ticket type

    @property
    def history(self) -> History:
        return self.client.history

    @property
    def dice(self) -> random.Random:
        return self.client.dice

    async def live(self) -> None:
        """Buy as long as the run lasts: the task is cancelled at its end."""
        while True:
            await self.market.open.wait()
            self.market.busy += 1
            try:
                await self._act()
            finally:
                self.market.busy -= 1
            await asyncio.sleep(self.dice.uniform(*PAUSE))

    async def visit(self, *, pays: bool) -> None:
        """Reserve once; then pay, or release it, or leave it to its end."""
        await self._reserve(self.dice.choice(list(self.market.events)))
        if not self.holds:
            return
        _, reservation = self.holds.popitem()
        if pays:
            await self._pay(reservation)
        elif self.dice.random() < 0.8:
            await self._release(reservation)

    async def _act(self) -> None:
        event = self.dice.choice(list(self.market.events))
        roll = self.dice.random()
        if roll < 0.48:
            await self.client.ask("look at an event", "GET", f"/event/events/{event}/")
        elif roll < 0.56:
            await self.client.ask("look at my reservations", "GET", "/event/reservations/")
        elif not self.holds or roll < 0.74:
            await self._reserve(event)
        else:
            ticket_type, reservation = self.dice.choice(list(self.holds.items()))
            await self._use(ticket_type, reservation)

    async def _use(self, ticket_type: int, reservation: int) -> None:
        what: list[tuple[float, Callable[[int], Awaitable[bool]]]] = [
            (0.3, self._release), (0.3, self._pay), (0.18, self._resize), (0.1, self._extend), (0.07, self._look),
        ]  # fmt: skip
        roll = self.dice.random()
        for share, do in what:
            if roll < share:
                if await do(reservation):
                    self.holds.pop(ticket_type, None)
                return
            roll -= share
        self.holds.pop(ticket_type, None)  # forgotten: it expires

    # Claims ------------------------------------------------------------------------------------------------
    async def _reserve(self, event: int) -> None:
        types = self.market.events[event]
        if self.dice.random() < 0.2 and len(types) > 1:
            await self._reserve_several(self.dice.sample(types, 2))
            return
        ticket_type, quantity = self.dice.choice(types), self.dice.randint(1, 3)
        key = uuid.UUID(int=self.dice.getrandbits(128)).hex
        body = {"ticket_type": ticket_type, "amount": quantity}
        claim = self.history.facts.claims[key] = Claim(self.pk, quantity)
        granted = await self._claim(key, claim, "reserve", "/event/reservations/", body)
        if granted and granted["state"] == "held":
            self.holds[ticket_type] = granted["id"]
            self.history.facts.quantities.setdefault(granted["id"], granted["amount"])

    async def _reserve_several(self, types: list[int]) -> None:
        key = uuid.UUID(int=self.dice.getrandbits(128)).hex
        body = {"items": [{"ticket_type": each, "amount": 1} for each in types]}
        claim = self.history.facts.claims[key] = Claim(self.pk, 1)
        granted = await self._claim(key, claim, "reserve several", "/event/reservations/batch/", body)
        for each in granted["reservations"] if granted else []:
            if each["state"] == "held":
                self.holds[each["ticket_type"]] = each["id"]
                self.history.facts.quantities.setdefault(each["id"], each["amount"])

    async def _claim(
        self, key: str, claim: Claim, operation: str, path: str, body: Any
    ) -> dict[str, Any] | None:
        """Claim, perhaps twice at once or without waiting for the answer, until the answer is known."""
        answers = []
        roll = self.dice.random()
        if roll < VANISHING:
            await self._vanish(operation, path, body, key)
        elif roll < VANISHING + PRESSING_TWICE:
            self.history.client_faults["pressed twice"] += 1
            times = self.dice.randint(2, 4)
            ask = self.client.ask
            answers = list(
                await asyncio.gather(*(ask(operation, "POST", path, body, key=key) for _ in range(times)))
            )
        else:
            answers = [await self.client.ask(operation, "POST", path, body, key=key)]
        in_doubt = not answers or all(answer.unknown for answer in answers)
        claim.answers += [(answer.outcome, _id_of(answer)) for answer in answers]
        if roll < VANISHING:
            claim.answers.append((Outcome.UNKNOWN, 0))
        if in_doubt:
            answers = [await self._until_known(operation, "POST", path, body, key=key)]
            claim.answers += [(answer.outcome, _id_of(answer)) for answer in answers]
        return next((answer.body for answer in answers if answer.ok), None)

    async def _vanish(self, operation: str, path: str, body: Any, key: str) -> None:
        """Send a claim, and close the connection before the answer."""
        self.history.client_faults["went away"] += 1
        asking = asyncio.ensure_future(self.client.ask(f"{operation}, and go", "POST", path, body, key=key))
        await asyncio.sleep(self.dice.uniform(0.0, 0.03))
        asking.cancel()
        await asyncio.wait([asking])

    async def _until_known(
        self, operation: str, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> Answer:
        """Repeat a request until the answer is known. The end of the run cancels this."""
        self.history.open_doubts += 1
        while True:
            await asyncio.sleep(DOUBT_PAUSE * self.dice.uniform(0.5, 1.5))
            answer = await self.client.ask(f"{operation}, again", method, path, body, key=key)
            if not answer.unknown:
                self.history.open_doubts -= 1
                self.history.resolved_doubts += 1
                return answer

    # Actions on a hold: each returns whether the buyer has no hold any more ----------------------------------
    async def _release(self, reservation: int) -> bool:
        path = f"/event/reservations/{reservation}/"
        answer = await self.client.ask("release", "DELETE", path, of=reservation)
        if answer.unknown:
            known = await self._until_known("look at one", "GET", path)
            return not (known.ok and known.body["state"] == "held")
        if answer.ok:
            self.history.facts.released.add(reservation)
        return True

    async def _resize(self, reservation: int) -> bool:
        path, quantity = f"/event/reservations/{reservation}/", self.dice.randint(1, 4)
        answer = await self.client.ask("change", "PATCH", path, {"amount": quantity}, of=reservation)
        if answer.ok:
            self.history.facts.quantities[reservation] = quantity
        elif answer.unknown:
            self.history.facts.quantities.pop(reservation, None)
            known = await self._until_known("look at one", "GET", path)
            return not (known.ok and known.body["state"] == "held")
        return answer.status in (404, 410)

    async def _extend(self, reservation: int) -> bool:
        path = f"/event/reservations/{reservation}/extend/"
        answer = await self.client.ask("extend", "POST", path, of=reservation)
        return answer.status in (404, 409, 410)

    async def _look(self, reservation: int) -> bool:
        answer = await self.client.ask("look at one", "GET", f"/event/reservations/{reservation}/")
        return answer.status in (404, 410)

    async def _pay(self, reservation: int) -> bool:
        body = {"reservation_id": reservation}
        opened = await self.client.ask("open a payment", "POST", "/payment/payments/", body)
        if opened.unknown:
            opened = await self._until_known("open a payment", "POST", "/payment/payments/", body)
        if not opened.ok:
            return True
        payment = opened.body["id"]
        token = self.dice.choice(TOKENS)
        if token in ODD_TOKENS:
            self.history.client_faults[f"gateway: {token}"] += 1
        twice = self.dice.random() < PRESSING_TWICE
        presses = [self._press_pay(payment, token) for _ in range(2 if twice else 1)]
        answers = await asyncio.gather(*presses)
        if twice:
            self.history.client_faults["pressed twice"] += 1
        if any(answer.ok for answer in answers):
            self.history.facts.accepted.add(payment)
        await self._watch(payment, reservation)
        return True

    async def _press_pay(self, payment: int, token: str) -> Answer:
        return await self.client.ask(
            "pay", "POST", f"/payment/payments/{payment}/pay/", {"token": token}, of=payment
        )

    async def _watch(self, payment: int, reservation: int) -> None:
        """Look at a payment for some seconds. The audit checks its outcome later."""
        for nth in range(PAYMENT_POLLS):
            await asyncio.sleep(0.1 * 1.4**nth)
            shown = await self.client.ask("look at a payment", "GET", f"/payment/payments/{payment}/")
            if not shown.ok or shown.body["payment_status"] not in SETTLED:
                continue
            if shown.body["payment_status"] == "SUCCESS":
                self.history.facts.paid.add(payment)
                await self._use_tickets(payment, reservation)
            return

    async def _use_tickets(self, payment: int, reservation: int) -> None:
        roll = self.dice.random()
        if roll < 0.15:
            self.refunds.put_nowait(payment)
        elif roll < 0.5:
            path = f"/event/reservations/{reservation}/tickets/"
            found = await self.client.ask("look at tickets", "GET", path)
            for ticket in found.body if found.ok else []:
                self.door.put_nowait((ticket["event"], ticket["code"]))


def _id_of(answer: Answer) -> int:
    if not answer.ok or not isinstance(answer.body, dict):
        return 0
    return int(answer.body.get("id") or answer.body["order"])
