"""Each field of each form on a page, with odd values: never a server error, and the counters stay right.

Staff's pages are read from the routes, and forms from the pages, so that new ones are tried automatically.
"""

from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from checkout.models import Payment
from checkout.tests.invariants import COUNTERS_WRONG
from checkout.tests.paying import PAYMENTS, pay, work
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of
from tests.routes import routes
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)

ODD = [
    "", "-1", "1e9", "9223372036854775808", "\u0662", "a\x00b", "<script>\n\u202e", "x" * 5_000, "9999-12-31T23:59",
]  # fmt: skip


class Forms(HTMLParser):
    """A parser that reads each form of a page: its address, its method, and its fields with their values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self._open = False
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", (given.get("method") or "get").lower(), {}))
            self._open = True
        elif self._open and tag in ("input", "select", "textarea", "button") and (name := given.get("name")):
            self.found[-1][2].setdefault(name, given.get("value") or "")
            self._select = name if tag == "select" else ""
        elif self._select and tag == "option" and "selected" in given:
            self.found[-1][2][self._select] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


def forms_of(client: Client, page: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    answer: Any = client.get(page, headers={"accept": "text/html"})
    assert answer.status_code < 500, page
    b"".join(answer)  # a file is closed when it was sent
    if answer.status_code != 200 or "text/html" not in answer["Content-Type"]:
        return  # the form's address, or a file
    reader = Forms()
    reader.feed(answer.content.decode())
    for action, method, fields in reader.found:
        yield action or page, method, fields


def send(client: Client, where: str, method: str, fields: dict[str, str]) -> int:
    answer: Any = getattr(client, method)(where, fields, headers={"accept": "text/html"})
    b"".join(answer)
    return int(answer.status_code)


def pages(ticket_type: TicketType, held: int, paid: int) -> dict[str, list[str]]:
    event = ticket_type.event_id
    return {
        "anonymous": ["/", "/login/", "/signup/", "/password-reset/", f"/events/{event}/"],
        "buyer": [f"/events/{event}/", f"/checkout/{held}/", "/me/"],
        "staff": list(staff_pages(event, held, paid)),
    }


def staff_pages(event: int, held: int, paid: int) -> Iterator[str]:
    """Yield each page of staff, of this event and these two orders."""
    known = {"<id:event_id>": [event], "<id:order_id>": [held, paid]}
    for place, _ in routes():
        if place.startswith(("office/", "door/", "monitor/")):
            yield from _filled(f"/{place}", known)


def _filled(place: str, known: Mapping[str, list[int]]) -> list[str]:
    for parameter, values in known.items():
        if parameter in place:
            return [place.replace(parameter, str(value)) for value in values]
    return [] if "<" in place else [place]


def order_paid(buyer: User, ticket_type: TicketType) -> int:
    """Let a buyer pay for an order, and return its id."""
    api = api_of(buyer)
    order: int = reserve(api, ticket_type, 2).json()["id"]
    made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()
    payment = Payment.objects.get(pk=made["id"])
    pay(api, payment)
    assert work(payment).status == "SUCCESS"
    return order


@pytest.mark.parametrize("role", ["anonymous", "buyer", "staff"])
def test_no_odd_value_breaks_a_form(
    role: str, buyer: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    paid = order_paid(buyer, ticket_type)
    held = reserve(api_of(buyer), ticket_type, 1).json()["id"]
    client = Client(raise_request_exception=False)
    if role != "anonymous":
        client.force_login(buyer if role == "buyer" else user_make(is_staff=True, is_superuser=True))
    tried, broken, seen = 0, [], set()
    for page in pages(ticket_type, held, paid)[role]:
        for where, method, fields in list(forms_of(client, page)):
            form = (where, *fields)
            if ("log" in where and page != "/login/") or form in seen:
                continue  # logging out would end the test
            seen.add(form)
            for odd_fields in (odd_staff if role == "staff" else odd_buyers)(list(fields)):
                tried += 1
                if (status := send(client, where, method, {**fields, **odd_fields})) >= 500:
                    broken.append((where, odd_fields, status))
    assert broken == []
    assert tried > (300 if role == "staff" else 30)
    assert db.rows(COUNTERS_WRONG) == []


def odd_buyers(names: list[str]) -> Iterator[dict[str, str]]:
    """Yield each odd value in each field, alone."""
    for name in names:
        for odd in ODD:
            yield {name: odd}


def odd_staff(names: list[str]) -> Iterator[dict[str, str]]:
    """Yield each odd value in each field, among other odd ones, and one in each field alone: the forms are long."""
    for shift in range(len(ODD)):
        yield {name: ODD[(nth + shift) % len(ODD)] for nth, name in enumerate(names)}
    for nth, name in enumerate(names):
        yield {name: ODD[nth % len(ODD)]}
