"""Buyers who come all at once: real HTTP at the running system, so that the pages and the monitor come alive.

Each has an account and its token, reserves a few tickets, and pays, releases them or lets the hold expire. How many
there are at a time is bounded, and so is what they do.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

AT_ONCE = 8
LOOKED_AT = 8  # of the next events
TIMEOUT = 30  # seconds
THINKS = (0.2, 2.0)  # seconds, from .. to
PAYS, GIVES_BACK = 0.75, 0.1  # of the buyers; the rest let their tickets run out
TOKENS = ("ok",) * 8 + ("card_error", "slow")


@dataclass
class Tally:
    """What became of the buyers, counted as they finish."""

    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str) -> int:
        """Will count an outcome, and say how many there are by now."""
        with self._lock:
            self.counts[outcome] += 1
            return self.counts.total()


class Refused(Exception):
    """The shop said no, in the word that is its code."""


class Visitor:
    """One connection, and who is logged in on it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connection(parts.hostname or "localhost", parts.port, timeout=TIMEOUT)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Token {token}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Will give the answer's JSON; raises Refused."""
        self._connection.request(method, path, json.dumps(body) if body else None, self._headers)
        answer = self._connection.getresponse()
        read = answer.read()
        found = json.loads(read) if read else {}
        if answer.status >= 400:
            raise Refused(str(found.get("code", answer.status)))
        return found

    def close(self) -> None:
        self._connection.close()


def rush(
    *, url: str, event: int | None, tokens: Sequence[str], seed: int | None, told: Callable[[int, str], None]
) -> Counter[str]:
    """Send the buyers with these tokens at an event, AT_ONCE at a time, and count the outcomes.

    Unless an event is named, it is the one with most tickets left. `told` is called after each buyer. Raise Refused
    and OSError when the shop is not there.
    """
    dice = random.Random(seed)  # noqa: S311
    ticket_types = types_on_sale(url, event)
    tally = Tally()

    def come(token: str, lot: random.Random) -> None:
        outcome = visit(url, token, ticket_types, lot)
        told(tally.add(outcome), outcome)

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        list(crowd.map(come, tokens, [random.Random(dice.random()) for _ in tokens]))  # noqa: S311
    return tally.counts


def types_on_sale(url: str, event: int | None) -> list[dict[str, Any]]:
    """Will find the ticket types to go for: those of the event, or of the one of the next that has most left."""
    visitor = Visitor(url)
    try:
        if event is None:
            listed = visitor.ask("GET", "/event/events/?upcoming=true&page_size=100")["results"]
            named = [each["id"] for each in listed if each["tickets"]]
        else:
            named = [event]
        found = [_on_sale(visitor, event_id) for event_id in named[:LOOKED_AT]]
    finally:
        visitor.close()
    best = max(found, key=lambda types: sum(each["available"] for each in types), default=[])
    if not best:
        raise Refused("nothing is on sale")
    return best


def _on_sale(visitor: Visitor, event_id: int) -> list[dict[str, Any]]:
    types = visitor.ask("GET", f"/event/events/{event_id}/")["tickets"]
    return [each for each in types if each["sale"] == "open" and each["available"]]


def visit(url: str, token: str, ticket_types: list[dict[str, Any]], lot: random.Random) -> str:
    """Let one buyer try, and return the outcome in a word."""
    visitor = Visitor(url, token)
    try:
        ticket_type = lot.choice(ticket_types)
        wanted = {
            "ticket_type": ticket_type["id"],
            "amount": lot.randint(1, min(4, ticket_type["max_per_user"])),
        }
        reservation = visitor.ask("POST", "/event/reservations/", wanted)["id"]
        time.sleep(lot.uniform(*THINKS))
        decided = lot.random()
        if decided < PAYS:
            return _pay(visitor, reservation, lot)
        if decided >= PAYS + GIVES_BACK:
            return "left it held"
        visitor.ask("DELETE", f"/event/reservations/{reservation}/")
    except Refused as refused:
        return str(refused)
    except (OSError, http.client.HTTPException):
        return "lost"
    else:
        return "gave back"
    finally:
        visitor.close()


def _pay(visitor: Visitor, reservation: int, lot: random.Random) -> str:
    payment = visitor.ask("POST", "/payment/payments/", {"reservation_id": reservation})["id"]
    visitor.ask("POST", f"/payment/payments/{payment}/pay/", {"token": lot.choice(TOKENS)})
    return "paid"
