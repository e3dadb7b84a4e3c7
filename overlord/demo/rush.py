"""Send many buyers to the running shop by HTTP, to see its pages and the monitor change live.

Each buyer has an account and a token, and reserves a few tickets. Then the buyer pays for them, releases them, or
does nothing. AT_ONCE buyers come at the same time, each in a thread.
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
from typing import Any, TypeVar
from urllib.parse import urlsplit

Outcome = TypeVar("Outcome")
AT_ONCE = 8
MOST_EVENTS = 8  # how many of the next events are considered
TIMEOUT = 30  # seconds
THINK_SECONDS = (0.2, 2.0)  # the shortest and the longest time between reserving and paying
PAY_SHARE, RELEASE_SHARE = 0.75, 0.1  # of the buyers; the holds of the others expire
TOKENS = ("ok",) * 8 + ("card_error", "slow")


@dataclass
class Tally:
    """The outcomes of the buyers, counted by their text. Several threads count in it."""

    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str) -> int:
        """Count an outcome, and return how many buyers have finished."""
        with self._lock:
            self.counts[outcome] += 1
            return self.counts.total()


class Refused(Exception):
    """The shop refused a request. The message is the `code` of the error."""


class Visitor:
    """One HTTP connection of a buyer, who is logged in if there is a token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = make(parts.hostname or "localhost", parts.port, timeout=TIMEOUT)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Token {token}"

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request and return the JSON of the answer; raise Refused."""
        self._connection.request(method, path, json.dumps(body) if body else None, self._headers)
        answer = self._connection.getresponse()
        read = answer.read()
        is_json = answer.headers.get_content_subtype().endswith("json")
        found = json.loads(read) if read and is_json else {}
        if answer.status >= 400:
            raise Refused(str(found.get("code", answer.status)))
        return found

    def close(self) -> None:
        self._connection.close()


def rush(
    *, url: str, event: int | None, tokens: Sequence[str], seed: int | None, report: Callable[[int], None]
) -> Counter[str]:
    """Send the buyers with these tokens to an event, AT_ONCE at a time, and return how many had each outcome.

    If `event` is None, they go to the event with the most tickets left. `report` is called with the number of
    buyers that have finished. Before the first buyer, raise Refused if nothing is on sale, and OSError if the shop
    cannot be reached.
    """
    dice = random.Random(seed)  # noqa: S311
    ticket_types = types_on_sale(url, event)
    tally = Tally()

    def send(token: str, dice: random.Random) -> None:
        report(tally.add(visit(url, token, ticket_types, dice)))

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        list(crowd.map(send, tokens, [random.Random(dice.random()) for _ in tokens]))  # noqa: S311
    return tally.counts


def types_on_sale(url: str, event: int | None) -> list[dict[str, Any]]:
    """Return the ticket types of an event that are on sale; raise Refused if there are none.

    If `event` is None, choose the event with the most tickets left among the next MOST_EVENTS.
    """
    visitor = Visitor(url)
    try:
        if event is None:
            listed = visitor.request("GET", "/event/events/?upcoming=true&page_size=100")["results"]
            ids = [each["id"] for each in listed if each["tickets"]]
        else:
            ids = [event]
        found = [_on_sale(visitor, event_id) for event_id in ids[:MOST_EVENTS]]
    finally:
        visitor.close()
    best = max(found, key=lambda types: sum(each["available"] for each in types), default=[])
    if not best:
        raise Refused("nothing is on sale")
    return best


def _on_sale(visitor: Visitor, event_id: int) -> list[dict[str, Any]]:
    ticket_types = visitor.request("GET", f"/event/events/{event_id}/")["tickets"]
    return [each for each in ticket_types if each["sale"] == "open" and each["available"]]


def types_of(url: str, event: int) -> list[dict[str, Any]]:
    """Return the ticket types of an event."""
    visitor = Visitor(url)
    try:
        types: list[dict[str, Any]] = visitor.request("GET", f"/event/events/{event}/")["tickets"]
    finally:
        visitor.close()
    return types


def attempt(url: str, token: str, act: Callable[[Visitor], Outcome]) -> Outcome | str:
    """Let one buyer do `act`, and return its result, or words that say why it failed."""
    visitor = Visitor(url, token)
    try:
        return act(visitor)
    except Refused as refused:
        return str(refused).replace("_", " ")
    except (OSError, http.client.HTTPException):
        return "lost the connection"
    finally:
        visitor.close()


def visit(url: str, token: str, ticket_types: list[dict[str, Any]], dice: random.Random) -> str:
    """Let one buyer reserve tickets and pay, release them or do nothing; return the outcome in words."""

    def buy(visitor: Visitor) -> str:
        ticket_type = dice.choice(ticket_types)
        amount = dice.randint(1, min(4, ticket_type["max_per_user"]))
        wanted = {"ticket_type": ticket_type["id"], "amount": amount}
        reservation = visitor.request("POST", "/event/reservations/", wanted)["id"]
        time.sleep(dice.uniform(*THINK_SECONDS))
        decision = dice.random()
        if decision < PAY_SHARE:
            return pay(visitor, reservation, dice)
        if decision >= PAY_SHARE + RELEASE_SHARE:
            return "left a hold"
        visitor.request("DELETE", f"/event/reservations/{reservation}/")
        return "released a hold"

    return attempt(url, token, buy)


def pay(visitor: Visitor, reservation: int, dice: random.Random) -> str:
    """Start the payment of an order, and return the outcome in words."""
    payment = visitor.request("POST", "/payment/payments/", {"reservation_id": reservation})["id"]
    visitor.request("POST", f"/payment/payments/{payment}/pay/", {"token": dice.choice(TOKENS)})
    return "sent a payment"
