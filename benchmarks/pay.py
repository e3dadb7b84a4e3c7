"""Measure orders from the reservation to the paid ticket, through Celery, until the buyer sees that it is paid.

The gateway is the sandbox. It answers at once, but keeps a ledger of its own in the same PostgreSQL, so its work is
part of these figures.
"""

import http.client
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from benchmarks import load, sale, sockets
from benchmarks.cpu import Meter
from benchmarks.report import Report, Scale, percentile
from benchmarks.system import System

AT_ONCE = 8
ORDERS_EACH = 5  # of one buyer; the next buyer opens a new socket
THINKING = 0.3  # seconds, enough for the screen to show what happened before
PROCESSES = ("web", "live", "postgres", "valkey", "payments", "broadcasts", "upkeep", "beat")


@dataclass(frozen=True, kw_only=True)
class Order:
    """The times of an order (`time.perf_counter()`): begun, pay sent, pay answered, shown as paid on the screen."""

    began: float
    asked: float
    answered: float
    seen: float


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The ports, the ticket types, and the numbers of the next buyers."""

    web: int
    live: int
    types: list[int]
    buyers: Iterator[int]


def run(system: System, scale: Scale) -> Report:
    """Measure orders."""
    sale.clear()
    sale.buyers_make(4_000)
    system.start_workers()
    web, live = system.start_web("web"), system.start_live()
    shop = Shop(web=web, live=live, types=sale.event_make(types=ORDERS_EACH), buyers=count(1))
    _buy(shop, buyers=AT_ONCE, seconds=1.0, thinking=0.0)  # warm up each worker
    report = Report("Pay")
    arms = [
        (f"{AT_ONCE} buyers at once", AT_ONCE, scale.seconds, 0.0),
        ("one buyer, who thinks first", 1, scale.seconds * 2, THINKING),
    ]
    for nth in range(scale.rounds):
        for name, buyers, seconds, thinking in arms if nth % 2 == 0 else reversed(arms):
            sale.reset()
            meter, began = Meter(system, {name: [name] for name in PROCESSES}), time.perf_counter()
            orders = _buy(shop, buyers=buyers, seconds=seconds, thinking=thinking)
            spent, took = meter.spent(), time.perf_counter() - began
            _check(len(orders))
            _add(report, name, orders, took, spent)
    _set_notes(report, arms[0][0])
    return report


def _buy(shop: Shop, *, buyers: int, seconds: float, thinking: float) -> list[Order]:
    """Let `buyers` at once buy for some seconds. Each buys again when the screen shows the last ticket as paid."""
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(buyers) as pool:
        return list(chain(*pool.map(lambda _: _queue(shop, until, thinking), range(buyers))))


def _queue(shop: Shop, until: float, thinking: float) -> list[Order]:
    orders: list[Order] = []
    while time.perf_counter() < until:
        with Buyer(shop, next(shop.buyers)) as buyer:
            for ticket_type in shop.types:
                if time.perf_counter() < until:
                    orders.append(buyer.order(ticket_type, thinking=thinking))
    return orders


class Buyer:
    """A buyer with a connection for requests and a socket on the buyer's own stream."""

    def __init__(self, shop: Shop, number: int) -> None:
        self._token = sale.token(number)
        self._http = http.client.HTTPConnection(load.HOST, shop.web, timeout=load.GIVE_UP)
        self._screen = sockets.Socket(shop.live, "/ws/me/", token=self._token)
        self._screen.texts()

    def __enter__(self) -> "Buyer":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._screen.close()

    def order(self, ticket_type: int, *, thinking: float) -> Order:
        """Buy one ticket and wait until the screen shows it as paid."""
        began = time.perf_counter()
        reservation = self._post("/event/reservations/", 201, ticket_type=ticket_type, amount=1)["id"]
        payment = self._post("/payment/payments/", 201, reservation_id=reservation)["id"]
        time.sleep(thinking)
        asked = time.perf_counter()
        self._post(f"/payment/payments/{payment}/pay/", 202, token="a card")  # noqa: S106
        answered = time.perf_counter()
        while (status := self._shown(payment)) != "SUCCESS":
            if status == "FAILURE":
                raise sale.BrokenError(f"Payment {payment} failed.")
        return Order(began=began, asked=asked, answered=answered, seen=time.perf_counter())

    def _post(self, path: str, expected: int, **body: object) -> dict[str, Any]:
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        self._http.request("POST", path, json.dumps(body), headers)
        answer = self._http.getresponse()
        content: dict[str, Any] = json.loads(answer.read())
        if answer.status != expected:
            raise sale.BrokenError(f"{path}: {answer.status} {content}")
        return content

    def _shown(self, payment: int) -> str | None:
        """Wait for the next frames; return the payment's status in them, None if they show none."""
        status = None
        for text in self._screen.texts():
            for paid in (sockets.state(text) or {}).get("payments", ()):
                if paid["id"] == payment:
                    status = paid["payment_status"]
        return status


def _check(orders: int) -> None:
    sale.check()
    books = sale.books()
    if set(books.values()) != {orders}:
        raise sale.BrokenError(f"The screens showed {orders} paid orders, but the tables hold {books}.")


def _add(report: Report, arm: str, orders: list[Order], took: float, spent: dict[str, float]) -> None:
    from_asked = [(order.seen - order.asked) * 1000 for order in orders]
    from_answered = [(order.seen - order.answered) * 1000 for order in orders]
    whole = [(order.seen - order.began) * 1000 for order in orders]
    latency = {
        "pay to seen p50 ms": percentile(from_asked, 0.5),
        "pay to seen p99 ms": percentile(from_asked, 0.99),
        "answered to seen p50 ms": percentile(from_answered, 0.5),
        "answered to seen p99 ms": percentile(from_answered, 0.99),
        "whole order p50 ms": percentile(whole, 0.5),
    }
    cpu = {f"{group} us": seconds / len(orders) * 1e6 for group, seconds in spent.items()}
    report.add(arm, **{"orders a second": len(orders) / took, **latency, **cpu})


def _set_notes(report: Report, busy: str) -> None:
    total = sum(report.median(busy, column) for column in report.arms[busy] if column.endswith(" us"))
    cores = os.cpu_count() or 1
    best = cores * 1e6 / total
    report.notes.append(
        f"At {total:,.0f} us of CPU for an order, {cores} busy cores could serve {best:,.1f} orders a second;"
        f" {report.median(busy, 'orders a second') / best:.0%} of that was reached. A buyer opens one socket for"
        f" {ORDERS_EACH} orders. The time of a whole order includes the seconds of thinking."
    )
