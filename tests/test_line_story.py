"""A line in headless Chromium, on the running system: three people, one on a phone without JavaScript."""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from overlord.accounts.models import EmailCode
from tests import browser
from tests.browser import Browser
from tests.clients import permit
from tests.system import System, eventually
from tests.visitors import axe, fresh, logged_in, type_on_sale, user_make
from tickets.line import projections, staff_services
from tickets.line.models import Entry, Line
from tickets.line.permissions import Permission
from tickets.line.rules import Action
from tickets.line.tests.lines import draw_in_order, enter, hold_already, open_sale
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]


FOCUS = "document.querySelector(arguments[0]).focus()"
FOCUSED = "return document.activeElement.tagName"
NOTHING_LEFT = "It is your turn, but the tickets that you want are not available now."


@pytest.fixture
def ticket_type(system: System) -> TicketType:
    """Return a type of one ticket, at an event whose lobby is open."""
    made = type_on_sale(capacity=1)
    Inventory.objects.filter(pk=made.pk).update(opens_at=timezone.now() + timedelta(minutes=10))
    Event.objects.filter(pk=made.event_id).update(opening="draw")
    eventually(lambda: Line.objects.filter(pk=made.event_id).exists())
    return made


@pytest.fixture
def people(system: System) -> Iterator[tuple[Browser, Browser]]:
    """Return two browsers; the second is a phone without JavaScript."""
    with browser.borrowed() as desktop, browser.borrowed() as phone:
        for each in (desktop, phone):
            fresh(each, system)
        phone.emulate(width=390, height=844)
        phone.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        yield desktop, phone


@pytest.fixture
def later(system: System) -> TicketType:
    """Return a type at an event that opens by a draw, long before its lobby opens."""
    made = type_on_sale(capacity=1)
    Inventory.objects.filter(pk=made.pk).update(opens_at=timezone.now() + timedelta(hours=2))
    Event.objects.filter(pk=made.event_id).update(opening="draw")
    return made


# A proxy that refuses sockets; and the browser's clock runs ten times as fast for what it does regularly.
NO_SOCKETS = """
  window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); }
    close() {}
    send() {}
  };
  const regularly = window.setInterval;
  window.setInterval = (act, every) => regularly(act, every / 10);
"""


def picture(person: Browser, name: str) -> None:
    """Save a picture of the page if LINE_PICTURES names a folder, for people who review the pages."""
    if folder := os.environ.get("LINE_PICTURES"):
        person.picture(Path(folder) / f"{name}.png")


def given_next(ticket_type: TicketType) -> Entry:
    """Wait until the line has given its ticket to an entry, and return the entry."""
    given = Entry.objects.filter(line_id=ticket_type.event_id, state="given")
    found = eventually(given.first)
    assert found is not None
    return found


def let_pass(entry: Entry) -> bool:
    """End the time to look at a hold; return whether the turn has passed. An open page may look again first."""
    Entry.objects.filter(pk=entry.pk, state="given").update(looked_at=None, look_by=timezone.now())
    return Entry.objects.get(pk=entry.pk).state == "passed"


def enter_by_page(person: Browser, ticket_type: TicketType) -> None:
    person.go(f"/events/{ticket_type.event_id}/line/")
    person.write(f"#amount-{ticket_type.pk}", "1")
    email = f"{secrets.token_hex(4)}@example.org"
    person.write("#email", email)
    person.press("form[data-part=enter] button[type=submit]")
    person.says("form[data-part=code] h2", "Enter the code from the mail")
    picture(person, "code")
    person.write("#code", eventually(lambda: code_mailed_to(email)))
    person.press("form[data-part=code] button[type=submit]")
    person.says("h1", "You are in line")


def code_mailed_to(email: str) -> str:
    """Return the code that was mailed to an address; "" while none was."""
    asked = EmailCode.objects.filter(email=email).first()
    return asked.code if asked else ""


def axe_on_a_phone(person: Browser) -> None:
    person.emulate(width=390, height=844)
    axe(person)
    person.emulate(width=1280, height=900)


@pytest.mark.parametrize("order", ["123", "231", "312"])
def test_three_people_stand_in_line_and_each_learns_of_the_turn(
    people: tuple[Browser, Browser], ticket_type: TicketType, order: str
) -> None:
    desktop, phone = people
    enter_by_page(desktop, ticket_type)
    desktop.says("live-badge", "Live")
    desktop.says("[data-field=place]", "1 person has joined")
    axe(desktop)
    axe_on_a_phone(desktop)
    picture(desktop, "lobby-desktop")
    enter_by_page(phone, ticket_type)
    enter(ticket_type, user_make().pk)
    desktop.says("[data-field=place]", "3 people have joined")

    draw_in_order(ticket_type.event_id, [int(each) for each in order])
    open_sale([ticket_type])
    for _ in range(3):  # each hold that is not paid passes to the next entry
        given = given_next(ticket_type)
        if given.number == 1:
            desktop.says("h1", "It is your turn")
            desktop.says("[role=alert]", "are reserved")
            assert desktop.driver.title.startswith("It is your turn")
            desktop.one("hold-countdown .face")
            eventually(Entry.objects.filter(pk=given.pk, looked_at__isnull=False).exists)
            axe(desktop)
            axe_on_a_phone(desktop)
            picture(desktop, "turn-desktop")
        elif given.number == 2:
            phone.driver.refresh()
            assert phone.one("h1").text == "It is your turn"
            assert Entry.objects.get(pk=given.pk).looked_at is not None
            picture(phone, "turn-phone")
        elif Entry.objects.get(number=1, line_id=ticket_type.event_id).state == "waiting":
            desktop.says("[data-field=place]", NOTHING_LEFT)  # all turns came at once, for one ticket
            picture(desktop, "waiting-desktop")
        eventually(partial(let_pass, given))

    desktop.says("h1", "Nobody is waiting in line")
    phone.driver.refresh()
    for person in (desktop, phone):
        person.says("[data-part=status] .notice", "Your turn has passed")
    desktop.says("form[data-part=enter] button", "Join the line")
    assert not Reservation.objects.filter(ticket_type=ticket_type, state="held").exists()
    assert desktop.complaints() == []


def test_a_browser_computes_the_place_that_was_drawn_and_keeps_it(
    people: tuple[Browser, Browser], ticket_type: TicketType
) -> None:
    desktop, _phone = people
    Inventory.objects.filter(pk=ticket_type.pk).update(paused=True)
    for _ in range(3):
        enter(ticket_type, user_make().pk)
    enter_by_page(desktop, ticket_type)
    desktop.says("live-badge", "Live")
    open_sale([ticket_type])
    eventually(lambda: Line.objects.get(pk=ticket_type.event_id).drawn == 4)
    place = Entry.objects.get(line_id=ticket_type.event_id, number=4).place

    desktop.says("[data-field=place]", f"Your place is {place}.")
    desktop.driver.refresh()
    desktop.says("[data-field=place]", f"Your place is {place}.")
    desktop.driver.switch_to.new_window("tab")
    desktop.go(f"/events/{ticket_type.event_id}/line/")
    desktop.says("[data-field=place]", f"Your place is {place}.")
    desktop.driver.close()
    desktop.driver.switch_to.window(desktop.driver.window_handles[0])

    desktop.run(FOCUS, f"#amount-{ticket_type.pk}")
    Inventory.objects.filter(pk=ticket_type.pk).update(closes_at=timezone.now() + timedelta(seconds=1))
    projections.announce_line(event_id=ticket_type.event_id)
    desktop.says("h1", "Ticket sales have ended")
    desktop.says("[data-part=status]", "You were not charged")
    assert desktop.run(FOCUSED) == "H1", "the field is hidden"
    shown = [form for form in desktop.all("form[data-part]") if form.is_displayed()]
    assert [form.get_attribute("data-part") for form in shown] == ["leave"]
    desktop.driver.refresh()
    desktop.says("h1", "Ticket sales have ended")
    desktop.says("[data-part=status]", "You were not charged")


def test_a_browser_that_gets_no_socket_learns_of_the_turn_in_time(
    people: tuple[Browser, Browser], ticket_type: TicketType
) -> None:
    desktop, _phone = people
    with desktop.beginning_with(NO_SOCKETS):
        enter_by_page(desktop, ticket_type)
        desktop.run(FOCUS, "form[data-part=leave] button")
        open_sale([ticket_type])
        given = given_next(ticket_type)

        desktop.says("h1", "It is your turn")
        assert desktop.run(FOCUSED) == "H1", "the button is gone"
        desktop.says("live-badge", "Showing data from")
        assert Entry.objects.get(pk=given.pk).looked_at is not None
        assert desktop.complaints() == []


def test_a_visitor_sees_each_phase_and_the_page_asks_nothing(
    people: tuple[Browser, Browser], later: TicketType
) -> None:
    desktop, _phone = people
    desktop.go(f"/events/{later.event_id}/line/")
    desktop.says("h1", "The line is not open yet")
    desktop.says("live-badge", "Live")
    picture(desktop, "closed-desktop")
    assert not any(form.is_displayed() for form in desktop.all("form[data-part]"))

    Inventory.objects.filter(pk=later.pk).update(opens_at=timezone.now() + timedelta(minutes=10))
    desktop.says("h1", "Join the line")
    opens_at = Inventory.objects.get(pk=later.pk).opens_at
    desktop.says("[data-when=lobby]", f"{opens_at:%-I:%M}")
    assert desktop.one("form[data-part=enter] button[type=submit]").is_displayed()
    axe(desktop)
    picture(desktop, "visitor-lobby-desktop")

    open_sale([later])
    desktop.says("h1", "Nobody is waiting in line")
    axe_on_a_phone(desktop)
    Inventory.objects.filter(pk=later.pk).update(paused=True)
    Event.objects.filter(pk=later.event_id).update(status="cancelled")
    projections.announce_line(event_id=later.event_id)
    desktop.says("h1", "Ticket sales have ended")
    assert not any(form.is_displayed() for form in desktop.all("form[data-part]"))
    fetched = (
        "return performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'fetch').length"
    )
    assert desktop.run(fetched) == 0
    assert desktop.complaints() == []


def test_the_desk_has_its_buttons_when_they_are_needed_and_keeps_what_is_written(
    people: tuple[Browser, Browser], later: TicketType
) -> None:
    desktop, _phone = people
    colleague = permit(user_make(is_staff=True), Permission.CONTROL_LINE)
    act = partial(staff_services.line_act, event_id=later.event_id, actor_id=colleague.pk, now=timezone.now())
    logged_in(desktop, permit(user_make(is_staff=True), Permission.CONTROL_LINE))
    desktop.go(f"/events/{later.event_id}/line/desk/")
    desktop.says("live-badge", "Live")
    desktop.one("form[data-part=name]")
    axe(desktop)
    act(action=Action.NAME_VALUE, text="The lottery")
    desktop.wait(lambda desk: desk.run("return document.getElementById('name').value") == "The lottery")

    Inventory.objects.filter(pk=later.pk).update(opens_at=timezone.now() + timedelta(minutes=10))
    desktop.says("form[data-part=moves]", "Open the sale now")
    desktop.write("#message", "Doors at 9.")
    act(action=Action.MESSAGE, text="Doors at 8.")
    desktop.says("[data-part=figures]", "Message to everybody in line: Doors at 8.")
    desktop.says("[data-part=record]", "Sent a message to everybody in line: Doors at 8.")
    desktop.press("form[data-part=message] button")
    desktop.says(".alert", "Somebody else has made a change since you opened the page.")
    assert desktop.one("#message").get_attribute("value") == "Doors at 9."
    desktop.says("live-badge", "Live")
    picture(desktop, "desk-refused-desktop")
    desktop.press("form[data-part=message] button")
    desktop.says("[data-part=figures]", "Message to everybody in line: Doors at 9.")
    axe_on_a_phone(desktop)
    picture(desktop, "desk-lobby-desktop")

    act(action=Action.OPEN_NOW, text="")
    desktop.says("form[data-part=value]", "The lottery")
    assert "Open the sale now" not in desktop.one("form[data-part=moves]").text
    act(action=Action.GIVE_VALUE, text="6 14 38")
    desktop.wait(lambda desk: not desk.all("form[data-part=value]")[0].is_displayed())
    desktop.says("[data-part=record]", "Entered the public value for the draw: 6 14 38")
    picture(desktop, "desk-open-desktop")
    [refused] = desktop.complaints()
    assert "409 (Conflict)" in refused


def test_a_desk_whose_page_is_refused_says_that_it_is_old(
    people: tuple[Browser, Browser], later: TicketType
) -> None:
    desktop, _phone = people
    staff, colleague = (permit(user_make(is_staff=True), Permission.CONTROL_LINE) for _ in range(2))
    act = partial(staff_services.line_act, event_id=later.event_id, actor_id=colleague.pk, now=timezone.now())
    logged_in(desktop, staff)
    desktop.go(f"/events/{later.event_id}/line/desk/")
    desktop.says("live-badge", "Live")

    staff.user_permissions.clear()
    act(action=Action.NAME_VALUE, text="The lottery")
    desktop.says("live-badge", "Showing data from")
    permit(staff, Permission.CONTROL_LINE)
    desktop.says("live-badge", "Live")
    desktop.says("[data-part=record]", "The lottery")

    desktop.driver.delete_cookie("sessionid")
    act(action=Action.NAME_VALUE, text="The beacon", seen="The lottery")
    desktop.one("#id_username")


def test_the_page_of_an_event_leads_to_the_line_while_nothing_can_be_reserved(
    people: tuple[Browser, Browser], later: TicketType
) -> None:
    desktop, _phone = people
    desktop.go(f"/events/{later.event_id}/")
    desktop.says("live-badge", "Live")
    desktop.says("[data-field=line]", "Go to the line")

    open_sale([later])
    desktop.one(".basket button[type=submit]")
    desktop.wait(lambda page: not page.all("[data-field=line]")[0].is_displayed())

    hold_already(later, user_make().pk)
    enter(later, user_make().pk)
    desktop.says(".types .tone", "Through the line")
    desktop.press("[data-field=line] a")
    desktop.says("h1", "Join the line")
