"""Each field of each form on buyers' pages, with odd values: never a server error, and the counters stay right.

The forms are read from the pages, so that a new form or field is tried without a word here.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from checkout.tests.invariants import COUNTERS_WRONG
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)

ODD = [
    "", "-1", "1e9", "9223372036854775808", "\u0662", "a\x00b", "<script>\n\u202e", "x" * 5_000, "9999-12-31T23:59",
]  # fmt: skip


class Forms(HTMLParser):
    """Reads each form of a page: where it is sent, how, and its fields with their values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", (given.get("method") or "get").lower(), {}))
            self._open = True
        elif self._open and tag in ("input", "select", "textarea", "button") and (name := given.get("name")):
            self.found[-1][2].setdefault(name, given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


def forms_of(client: Client, page: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    answer = client.get(page, headers={"accept": "text/html"})
    assert answer.status_code == 200, page
    reader = Forms()
    reader.feed(answer.content.decode())
    for action, method, fields in reader.found:
        yield action or page, method, fields


def send(client: Client, where: str, method: str, fields: dict[str, str]) -> int:
    answer: Any = getattr(client, method)(where, fields, headers={"accept": "text/html"})
    return int(answer.status_code)


def pages(ticket_type: TicketType, held: int) -> dict[str, list[str]]:
    event = ticket_type.event_id
    return {
        "anonymous": ["/", "/login/", "/signup/", "/password-reset/", f"/events/{event}/"],
        "buyer": [f"/events/{event}/", f"/checkout/{held}/", "/me/"],
    }


@pytest.mark.parametrize("role", ["anonymous", "buyer"])
def test_no_odd_value_breaks_a_form(role: str, buyer: User, ticket_type: TicketType) -> None:
    held = reserve(api_of(buyer), ticket_type, 1).json()["id"]
    client = Client(raise_request_exception=False)
    if role != "anonymous":
        client.force_login(buyer)
    tried, broken = 0, []
    for page in pages(ticket_type, held)[role]:
        for where, method, fields in list(forms_of(client, page)):
            if "log" in where and page != "/login/":
                continue  # logging out would end the test
            for name in fields:
                for odd in ODD:
                    tried += 1
                    if (status := send(client, where, method, {**fields, name: odd})) >= 500:
                        broken.append((where, name, odd[:20], status))
    assert broken == []
    assert tried > 30
    assert db.rows(COUNTERS_WRONG) == []
