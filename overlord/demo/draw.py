"""Send many buyers by HTTP into the line of an event that opens by a draw: they enter the lobby, wait and pay.

Each buyer has a random generator of its own, which decides about the wish and the payment. So the same seed gives
the same decisions, whatever the result of the draw is.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from overlord.demo.rush import AT_ONCE, PAY_SHARE, Refused, Tally, Visitor, attempt, pay, types_of

LOOK_EVERY = 2.0  # seconds between two requests of one buyer
QUIET_ENDS = 12.0  # seconds; when no buyer had an outcome for this long, the program ends


@dataclass
class Person:
    """A buyer in the line."""

    token: str
    dice: random.Random
    state: str = "waiting"


def rush(
    *, url: str, event: int, tokens: Sequence[str], seed: int | None, report: Callable[[str], None]
) -> Counter[str]:
    """Let the buyers with these tokens enter the event's line, wait for the draw and pay; return their outcomes.

    The result has the number of buyers by outcome. An outcome is a text such as "sent a payment". `report` is
    called with sentences about the progress. A refusal or a lost connection of one buyer is an outcome too. Raise
    Refused or OSError if the event or the first buyer's place cannot be read, and Refused if nobody could enter.
    """
    dice = random.Random(seed)  # noqa: S311
    people = [Person(token, random.Random(dice.random())) for token in tokens]  # noqa: S311
    address = f"/event/events/{event}/line/"
    types = types_of(url, event)
    tally = Tally()
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        entered = list(crowd.map(lambda each: _enter(url, address, types, each), people))
        for outcome in filter(None, entered):
            tally.add(outcome)
        waiting = [each for each, refused in zip(people, entered, strict=True) if refused is None]
        report(f"{len(waiting)} of {len(people)} have entered the lobby. The draw comes when the sale opens.")
        _wait_for_the_draw(url, address, waiting)
        report("The places are drawn.")
        moved = time.monotonic()
        while waiting and time.monotonic() - moved < QUIET_ENDS:
            time.sleep(LOOK_EVERY)
            outcomes = list(crowd.map(lambda each: _look(url, address, each), waiting))
            for outcome in filter(None, outcomes):
                tally.add(outcome)
                moved = time.monotonic()
            waiting = [each for each, outcome in zip(waiting, outcomes, strict=True) if outcome is None]
    for _ in waiting:
        tally.add("wait for what comes back")
    return tally.counts


def _enter(url: str, address: str, types: list[dict[str, Any]], person: Person) -> str | None:
    """Enter a buyer into the line with a wish of one or two choices; return None, or the refusal in words."""
    first, second = (_wish(types, person.dice) for _ in range(2))
    wish = {"items": first, **({"second": second} if person.dice.random() < 0.5 and second != first else {})}

    def enter(visitor: Visitor) -> None:
        visitor.request("POST", address, wish)

    return attempt(url, person.token, enter)


def _wish(types: list[dict[str, Any]], dice: random.Random) -> list[dict[str, int]]:
    chosen = dice.choice(types)
    return [{"ticket_type": chosen["id"], "amount": dice.randint(1, min(2, chosen["max_per_user"]))}]


def _wait_for_the_draw(url: str, address: str, waiting: Sequence[Person]) -> None:
    """Ask for the place of the first buyer once a second, until the draw has given it."""
    if not waiting:
        raise Refused("nobody could enter")
    visitor = Visitor(url, waiting[0].token)
    try:
        while visitor.request("GET", address)["place"] is None:
            time.sleep(1)
    finally:
        visitor.close()


def _look(url: str, address: str, person: Person) -> str | None:
    """Read a buyer's entry, and pay for the given tickets or release them; return the outcome.

    None means that the buyer still waits.
    """

    def look(visitor: Visitor) -> str | None:
        entry = visitor.request("GET", address)
        if entry["state"] == "waiting":
            return None
        if entry["state"] != "given" or not entry["reservations"]:
            return "were passed by"
        if person.dice.random() < PAY_SHARE:
            return pay(visitor, entry["reservations"][0]["id"], person.dice)
        for each in entry["reservations"]:
            visitor.request("DELETE", f"/event/reservations/{each['id']}/")
        return "gave their tickets back"

    return attempt(url, person.token, look)
