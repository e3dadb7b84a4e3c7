"""An organiser's day in the browser: make an event, sell, change, write to buyers, refund, export, cancel."""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group
from selenium.common.exceptions import JavascriptException

from overlord.box_office.roles import roles_make
from tests import browser
from tests.browser import Browser
from tests.system import System
from tests.visitors import fresh, logged_in, user_make
from tickets.models import TicketType

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]

SAVE = "main form .row button:first-child"
# Sets a date and a time by script, because the keys for them depend on the browser's language.
SET = """
  for (const [name, value] of Object.entries(arguments[0])) document.querySelector(`[name=${name}]`).value = value;
"""
FETCH = "fetch(arguments[0]).then((answer) => answer.text()).then(arguments[1])"


@pytest.fixture
def organiser(system: System) -> Iterator[Browser]:
    roles_make()
    user = user_make(is_staff=True)
    user.groups.add(Group.objects.get(name="Organiser"))
    with browser.opened() as person:
        yield logged_in(fresh(person, system), user)


def test_from_the_first_event_to_the_last_refund(system: System, organiser: Browser) -> None:
    event = _make(organiser)
    office, ticket_type = f"/office/events/{event}/", TicketType.objects.get(event=event)
    ada, ben = (_buy(system, ticket_type, amount=2) for _ in range(2))

    _sell_at_the_counter(organiser, office, ticket_type)
    _move(organiser, office)
    _write_to_buyers(organiser, office)
    _refund(organiser, ada, "15.00")
    _look_on_a_phone(organiser, f"/office/orders/{ada}/", office, f"{office}codes/", "/office/journal/")
    _read_lists_on_a_phone(organiser, "/office/orders/", f"/office/orders/{ada}/", f"{office}attendees/")
    assert [row["state"] for row in _exported(organiser, office)] == ["valid"] * 5
    _cancel(organiser, office)

    for order in (ada, ben):
        organiser.go(f"/office/orders/{order}/")
        organiser.says(".headline .tone", "Refunded")
    assert _told(organiser, event) == [
        "Cancelled the event",
        "Downloaded the list of attendees",
        "Refunded €15.00",
        "Sent message",
        "Edited the event",
        "Sold for €15.00 in cash",
        "Put the event on sale",
        "Created the event",
    ]
    assert organiser.complaints() == []


def _make(organiser: Browser) -> int:
    """Make an event with one ticket type, put it on sale, and return its id."""
    at_home = {"timezoneId": "Europe/Helsinki"}
    organiser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", at_home)
    organiser.go("/office/events/new/")
    organiser.wait(lambda page: page.one("[name=time_zone]").get_attribute("value") == "Europe/Helsinki")
    organiser.write("[name=name]", "Midsummer night")
    organiser.write("[name=venue]", "Town Hall")
    organiser.run(SET, {"date_0": "2099-06-21", "date_1": "21:00"})
    for name, value in (("name", "Stalls"), ("price", "15.00"), ("capacity", "40")):
        organiser.write(f"[name=ticket_types-0-{name}]", value)
    _read_in_german(organiser)
    organiser.press(SAVE)
    organiser.says(".headline .tone", "Draft")
    organiser.says(".lead", "9:00")  # in that zone, as it was entered
    organiser.press("button[value=on_sale]")
    organiser.says(".headline .tone", "On sale")
    return int(organiser.path.split("/")[-2])


def _read_in_german(organiser: Browser) -> None:
    """Change the language of the half-filled form and back: it keeps typed texts and added parts."""
    organiser.press("form > details summary")
    organiser.write("[name=address]", "Market Square 1")
    typed = {"name": "Midsummer night", "date_0": "2099-06-21", "address": "Market Square 1"}
    _read_in(organiser, "de", "Neue Veranstaltung", typed)
    organiser.one("[name=address]")  # it can be seen
    organiser.press("button[name=more]")
    organiser.write("[name=ticket_types-1-name]", "Balcony")
    _read_in(organiser, "en", "New event", {**typed, "ticket_types-1-name": "Balcony"})
    organiser.write("[name=ticket_types-1-name]", "")


def _read_in(organiser: Browser, language: str, title: str, typed: dict[str, str]) -> None:
    organiser.press(f"form.languages [value={language}]")
    organiser.says("h1", title)
    for name, value in typed.items():
        organiser.wait(lambda page, name=name, value=value: _value(page, name) == value)


def _value(page: Browser, name: str) -> Any:
    with suppress(JavascriptException):  # another page is on its way
        return page.run("return document.querySelector(`[name=${arguments[0]}]`)?.value", name)
    return None


def _buy(system: System, ticket_type: TicketType, *, amount: int) -> int:
    """Let a new buyer pay for an order, and return its id."""
    buyer = system.buyer()
    order: int = buyer.reserve(ticket_type.pk, amount).json()["id"]
    payment = buyer.open_payment(order)
    buyer.pay(payment["id"])
    buyer.payment_when(payment["id"], "SUCCESS")
    return order


def _sell_at_the_counter(organiser: Browser, office: str, ticket_type: TicketType) -> None:
    organiser.go(f"{office}sell/")
    organiser.write(f"[name=amount_{ticket_type.pk}]", "1")
    organiser.press("button[value=total]")
    organiser.says("main", "Amount to collect: €15.00")
    organiser.press("button[value=cash]")
    organiser.says("main", "Show the tickets")


def _move(organiser: Browser, office: str) -> None:
    organiser.go(f"{office}edit/")
    organiser.says(".alert", "2 people who have tickets")  # the buyer at the counter gave no address
    organiser.write("[name=venue]", "Old Theatre")
    organiser.press(SAVE)
    organiser.says(".lead", "Old Theatre")


def _write_to_buyers(organiser: Browser, office: str) -> None:
    organiser.go(f"{office}messages/")
    organiser.write("[name=subject]", "Doors open early")
    organiser.write("[name=text]", "Come at **eight**.")
    organiser.press("button[value=look]")
    organiser.says(".look .prose", "Come at eight.")
    organiser.press("button[value=send]")
    organiser.says("main", "2 of 2 mails were sent.")  # the page reloads itself


def _refund(organiser: Browser, order: int, amount: str) -> None:
    organiser.go(f"/office/orders/{order}/refund/")
    organiser.write("[name=amount]", amount)
    organiser.press("button.danger")
    organiser.says(".notice", "The refund was started.")


def _look_on_a_phone(organiser: Browser, *paths: str) -> None:
    """Check that none of these pages scrolls sideways as a whole, although their tables are wide."""
    organiser.emulate(width=390, height=844)
    for path in paths:
        organiser.go(path)
        assert organiser.run("return document.documentElement.scrollWidth") <= 390, path
    organiser.emulate(width=1280, height=900)


def _read_lists_on_a_phone(organiser: Browser, *paths: str) -> None:
    """Check that the rows of these lists are read without scrolling them sideways."""
    organiser.emulate(width=360, height=780)
    hidden = "[...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth - each.clientWidth)"
    for path in paths:
        organiser.go(path)
        assert organiser.run(f"return {hidden}") == [0], path
    organiser.emulate(width=1280, height=900)


def _exported(organiser: Browser, office: str) -> list[dict[str, str]]:
    """Return the rows of the attendees' file."""
    organiser.go(f"{office}attendees/")
    address = organiser.one("a[href*='attendees.csv']").get_attribute("href")
    return list(csv.DictReader(io.StringIO(organiser.driver.execute_async_script(FETCH, address))))


def _cancel(organiser: Browser, office: str) -> None:
    organiser.go(f"{office}cancel/")
    organiser.press("[name=sure]")
    organiser.press("button.danger")
    organiser.says("main", "€60.00 refunded, for 2 of 3 orders.")  # the page reloads itself
    organiser.says("main", "This order was paid in cash.")


def _told(organiser: Browser, event: int) -> list[str]:
    """Return the journal's entries about an event, the latest first, without their numbers."""
    organiser.go(f"/office/journal/?event={event}")
    rows = [row.text.splitlines()[0] for row in organiser.all("tbody td:nth-child(3)")]
    return [row.rpartition(" message")[0] + " message" if " message" in row else row for row in rows]
