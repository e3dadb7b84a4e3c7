"""Limits of selling: how much a buyer may hold, and how often a buyer or an address may reserve or try a code.

An address may be that of a school or a mobile network, so the limits of an address are high. Those of a buyer are
low.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from overlord.accounts.guests import is_guest
from overlord.kernel import client_address, rate_limits
from overlord.kernel.rate_limits import Limit
from tickets.voucher_rules import CodeUnknown

RESERVE_BY_BUYER = Limit(name="reserve-buyer", amount=30, seconds=60)
RESERVE_BY_ADDRESS = Limit(name="reserve-address", amount=6000, seconds=60)
GUESS_BY_BUYER = Limit(name="code-guess-buyer", amount=10, seconds=600)
GUESS_BY_ADDRESS = Limit(name="code-guess-address", amount=100, seconds=600)


def count_reserve(request: HttpRequest, *, buyer_id: int | None) -> None:
    """Count a request to reserve; raise TooMany. `buyer_id` is None for a visitor who is not a guest yet.

    Requests of guests, and of visitors who are not guests yet, are also counted by address, for as long as a hold
    lasts. This limits how much one address can hold without an account.
    """
    address = client_address.of_request(request)
    _count(address, buyer_id)
    if buyer_id is None or is_guest(request):
        rate_limits.count(
            Limit(
                name="guest-holds-address",
                amount=settings.GUEST_HOLDS_PER_ADDRESS,
                seconds=settings.HOLD_SECONDS,
            ),
            address,
        )


def count_change(request: HttpRequest, *, buyer_id: int) -> None:
    """Count a request to change or extend a hold, together with those to reserve; raise TooMany.

    A change costs as much as a reservation: it locks the same inventory, and every open page is told of it.
    """
    _count(client_address.of_request(request), buyer_id)


def _count(address: str, buyer_id: int | None) -> None:
    rate_limits.count(RESERVE_BY_ADDRESS, address)
    if buyer_id is not None:
        rate_limits.count(RESERVE_BY_BUYER, buyer_id)


@contextmanager
def guesses_counted(request: HttpRequest, *, buyer_id: int | None, code: str | None) -> Iterator[None]:
    """Count how often the `with` block raises CodeUnknown; raise TooMany after too many times.

    TooMany is raised even if the code exists, so that nobody can find codes by trying. A code that exists is not
    counted as a guess, because many people may use the same code. If `code` is None, nothing is counted.
    """
    if code is None:
        yield
        return
    counted: list[tuple[Limit, object]] = [(GUESS_BY_ADDRESS, client_address.of_request(request))]
    if buyer_id is not None:
        counted.insert(0, (GUESS_BY_BUYER, buyer_id))
    with rate_limits.counted_if(CodeUnknown, counted):
        yield


def of_buyer() -> dict[str, Any]:
    """Return the limits of `sql/buyer_check.sql`: {most_held, expired, cooling}. `cooling` is in seconds.

    Each of them is None if limits are off.
    """
    if not settings.RATE_LIMITS:
        return {"most_held": None, "expired": None, "cooling": None}
    return {
        "most_held": settings.HOLDS_PER_BUYER,
        "expired": settings.COOLING_EXPIRED,
        "cooling": settings.COOLING_SECONDS,
    }
