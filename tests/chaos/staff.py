"""The load besides buyers: the door, refunds, and the gateway's messages."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg2

from checkout.gateways.sandbox import SIGNATURE, signed_news
from tests.chaos.buyers import Client, Market
from tests.chaos.history import Answer
from tests.chaos.readings import connect, rows

NEWS_EVERY = 0.4


async def gate(client: Client, market: Market, door: "asyncio.Queue[tuple[int, str]]") -> None:
    """Scan each code at two gates at once, and repeat each scan until its answer is known."""
    while True:
        event, code = await door.get()
        market.busy += 1
        try:
            scans = [str(uuid.UUID(int=client.dice.getrandbits(128), version=4)) for _ in range(2)]
            bodies = [
                {"scan_id": scan, "code": code, "gate": f"gate {nth}", "event": event}
                for nth, scan in enumerate(scans)
            ]
            answers = await asyncio.gather(*(_scan(client, body) for body in bodies))
            for scan, answer in zip(scans, answers, strict=True):
                if answer.ok and answer.body["result"] == "admitted":
                    client.history.facts.admitted[code].add(scan)
        finally:
            market.busy -= 1


async def _scan(client: Client, body: dict[str, Any]) -> Answer:
    answer = await client.ask("scan", "POST", "/door/scans/", body)
    while answer.unknown:
        await asyncio.sleep(0.5)
        answer = await client.ask("scan, again", "POST", "/door/scans/", body)
    return answer


async def refund(client: Client, market: Market, refunds: "asyncio.Queue[int]") -> None:
    """Refund payments in full, with their tickets."""
    while True:
        payment = await refunds.get()
        market.busy += 1
        try:
            path = f"/payment/payments/{payment}/refund/"
            answer = await client.ask("refund", "POST", path, {"return_tickets": True}, of=payment)
            if answer.ok:
                client.history.facts.refunded.add(payment)
        finally:
            market.busy -= 1


async def gateway(client: Client, market: Market, url: str) -> None:
    """Deliver the gateway's messages: late, again, out of order, and forged."""
    read = _news_of(url)
    while True:
        await asyncio.sleep(NEWS_EVERY)
        await market.open.wait()
        events = await asyncio.to_thread(read)
        for event in client.dice.sample(events, min(3, len(events))):
            for _ in range(client.dice.randint(1, 3)):
                await _deliver(client, event)


async def _deliver(client: Client, event: dict[str, Any]) -> None:
    body, headers = signed_news(event)
    forged = client.dice.random() < 0.1
    if forged:
        headers = {SIGNATURE: f"{int(time.time())}.{'0' * 64}"}
    kind = "gateway: forged message" if forged else "gateway: message late or again"
    client.history.client_faults[kind] += 1
    own = Client(client.session, client.urls[:1], headers, client.history, client.dice)
    answer = await own.ask("webhook", "POST", "/payment/webhooks/sandbox/", json.loads(body))
    if forged and answer.ok:
        client.history.surprises.append("a forged message of the gateway was believed")


def _news_of(url: str) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that reads the newest events of the sandbox, or none while PostgreSQL does not answer."""

    def read() -> list[dict[str, Any]]:
        try:
            connection = connect(url)
        except psycopg2.Error:
            return []
        try:
            with connection:
                return rows(
                    connection, "SELECT id, intent FROM sandbox.events ORDER BY created DESC LIMIT 12"
                )
        except psycopg2.Error:
            return []
        finally:
            connection.close()

    return read
