"""The pages in headless Chromium, on the running system."""

import gzip
import json
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.shop import formats
from realtime import publish, streams
from tests import browser, parity
from tests.browser import Browser
from tests.system import System, eventually
from tests.visitors import PASSWORD, axe, fresh, logged_in, type_on_sale, user_make
from tickets import event_operations, services, voucher_services
from tickets.event_rules import EventStatus
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.rules import LARGEST_AMOUNT
from tickets.tests.vouchers import voucher_make
from tickets.voucher_rules import PriceRule
from tickets.voucher_services import Terms

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]

FIRST_LOAD = 60 * 1024  # bytes of compressed script and style
ANNOUNCED = "return document.getElementById('announcements').textContent"


@pytest.fixture
def first(system: System) -> Iterator[Browser]:
    with browser.borrowed() as person:
        yield fresh(person, system)


@pytest.fixture
def second(system: System) -> Iterator[Browser]:
    with browser.borrowed() as person:
        yield fresh(person, system)


@pytest.fixture
def ticket_type(system: System) -> TicketType:
    return type_on_sale()


def announced(ticket_type: TicketType) -> TicketType:
    """Announce the event of a ticket type, as its page in the box office does."""
    with db.transaction():
        event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())
    return ticket_type


def sold_out(ticket_type: TicketType) -> None:
    """Leave no ticket of a type."""
    with db.transaction():
        event_operations.inventory_set(
            ticket_type=ticket_type, capacity=0, opens_at=None, closes_at=None, paused=False
        )
        event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())


def hold_set(user: User, **left: float) -> int:
    """Give the user's hold the time that is left."""
    hold = Reservation.objects.get(buyer=user, state="held")
    Reservation.objects.filter(pk=hold.pk).update(expires_at=timezone.now() + timedelta(**left))
    return hold.pk


def test_from_the_first_page_to_the_paid_ticket(
    system: System, first: Browser, second: Browser, ticket_type: TicketType
) -> None:
    staff = user_make(is_staff=True, is_superuser=True)
    event = f"/events/{ticket_type.event_id}/"
    second.go(event)
    second.says("live-badge", "Live")
    second.says(".types", "50 left")

    # The buyer has no account: the first press reserves.
    first.go(event)
    first.press("[data-step='1']")
    first.says("output", "€30.00")
    first.press(".basket button[type=submit]")
    first.one("hold-countdown .face")
    buyer = Reservation.objects.get(ticket_type=ticket_type).buyer
    second.says(".types", "48 left")  # without reloading

    # The hold expires on the open page, and one button reserves the same tickets again.
    hold_set(buyer, seconds=3)
    first.driver.refresh()
    first.says("h1", "Your reservation has expired")
    second.says(".types", "50 left")
    first.press("[data-when~=expired] button")
    first.one("hold-countdown .face")
    hold_set(buyer, seconds=200)
    first.driver.refresh()

    # The buyer pays; the outcome is pushed, and the monitor moves.
    logged_in(second, staff).go("/monitor/")
    second.says("live-badge", "Live")
    # The row of this ticket type, because slow payments of earlier tests still change the totals.
    row = f"tr[data-row='{ticket_type.pk}'] [data-show='sold']"
    assert second.one(row).text == "0"
    address = f"ada-{secrets.token_hex(4)}@example.org"
    first.write("#email", address)
    first.write("#name", "Ada Lovelace")
    first.press("form.pay button")
    first.says("h1", "Your tickets are confirmed")
    assert eventually(lambda: second.one(row).text == "2")
    second.says(".is-feed", ticket_type.event.name)

    # The guest chooses a password and keeps the tickets.
    first.write("#password", PASSWORD)
    first.press("form[action='/signup/'] button")
    first.says("nav", "Log out")
    first.says("h1", "Your tickets are confirmed")

    # Staff pause the sale on the monitor, after a question, and open pages show it.
    first.go(event)
    first.says("live-badge", "Live")
    second.press(pause_of(ticket_type))
    second.one("dialog button")
    assert second.run("return document.activeElement.textContent") == "Cancel"
    axe(second)
    second.press("dialog button[data-slot=label]")
    second.says(".notice", "are paused")
    first.says(".types", "Sales paused")
    second.go(event)
    second.says(".types", "Sales paused")
    assert first.complaints() == second.complaints() == []


def three_types_on_sale() -> list[TicketType]:
    """Make an event with three ticket types, at 15, 5 and 60 euros."""
    stalls = type_on_sale()
    types = [stalls]
    for name, price in (("Child", 500), ("Box", 6000)):
        more = TicketType.objects.create(event=stalls.event, name=name, price_minor=price, max_per_user=8)
        Inventory.objects.create(ticket_type=more, capacity=50, closes_at=stalls.event.date)
        types.append(more)
    return types


def test_a_guest_buys_three_types_on_a_phone(system: System, first: Browser, second: Browser) -> None:
    stalls, *_ = types = three_types_on_sale()
    first.emulate(width=390, height=844)
    first.go(f"/events/{stalls.event_id}/")
    first.says("output", "€0.00")
    for each, times in zip(types, (2, 1, 1), strict=True):
        for _ in range(times):
            first.press(f"[data-type='{each.pk}'] [data-step='1']")
    first.says("output", "€95.00")
    first.press(".basket button[type=submit]")
    first.says("form.pay button", "Pay €95.00")
    for line in first.all(".line"):  # the controls of a line are beside one another
        controls = line.find_elements("css selector", "input:not([type=hidden]), button, a")
        tops = [each.location["y"] for each in controls]
        assert max(tops) - min(tops) < 20, tops

    # Two tabs: one changes a line, the other shows it without being reloaded by hand.
    first.driver.switch_to.new_window("tab")
    first.go("/me/")
    first.press(".stub a")
    child = Reservation.objects.get(ticket_type=types[1])
    first.write(f"#amount-{child.pk}", "3")
    first.press(f"form[action='/checkout/{child.pk}/amount/'] button")
    first.says("form.pay button", "Pay €105.00")
    first.driver.close()
    first.driver.switch_to.window(first.driver.window_handles[0])
    first.says("form.pay button", "Pay €105.00")

    first.press(f"a[href='/checkout/{child.pk}/release/']")
    first.press("dialog button.danger")
    first.says("form.pay button", "Pay €90.00")
    first.write("#email", f"ada-{secrets.token_hex(4)}@example.org")
    first.write("#name", "Ada")
    first.press("form.pay button")
    first.says("h1", "Your tickets are confirmed")

    # The back button leads to a page that shows what has changed since.
    first.driver.back()
    first.says("h1, .mine", "Your tickets are confirmed")
    assert first.complaints() == []


CONTACT = "return ['email', 'name'].map((id) => document.getElementById(id)?.value).join()"


def test_a_guest_keeps_the_typed_contact_when_the_order_changes(system: System, first: Browser) -> None:
    stalls, child, box = three_types_on_sale()
    first.go(f"/events/{stalls.event_id}/")
    for each in (stalls, child, box):
        first.press(f"[data-type='{each.pk}'] [data-step='1']")
    first.press(".basket button[type=submit]")
    first.says("form.pay button", "Pay €80.00")
    reservations = Reservation.objects.filter(ticket_type__event=stalls.event)
    order = {each.ticket_type_id: each for each in reservations}
    reservations.update(expires_at=timezone.now() + timedelta(seconds=100))
    first.driver.refresh()
    email = f"ada-{secrets.token_hex(4)}@example.org"
    first.write("#email", email)
    first.write("#name", "Ada")

    def keeps() -> None:
        first.wait(lambda p: p.run("return document.documentElement.dataset.old") is None)
        first.wait(lambda p: p.run(CONTACT) == f"{email},Ada")
        first.run("document.documentElement.dataset.old = ''")

    first.run("document.documentElement.dataset.old = ''")
    first.press(".extension button")
    keeps()
    first.write(f"#amount-{order[child.pk].pk}", "3")
    first.press(f"form[action='/checkout/{order[child.pk].pk}/amount/'] button")
    first.says("form.pay button", "Pay €90.00")
    keeps()
    first.press(f"a[href='/checkout/{order[stalls.pk].pk}/release/']")  # the first line: the address changes
    first.press("dialog button.danger")
    first.says("form.pay button", "Pay €75.00")
    keeps()
    first.says("live-badge", "Live")
    held = order[box.pk]
    services.reservation_resize(buyer_id=held.buyer_id, reservation_id=held.pk, quantity=2)  # in another tab
    first.says("form.pay button", "Pay €135.00")
    keeps()
    first.press("form.pay button")
    first.says("h1", "Your tickets are confirmed")


def test_three_types_are_bought_without_javascript_although_the_session_is_lost(
    system: System, first: Browser
) -> None:
    buyer, types = user_make(), three_types_on_sale()
    first.emulate(width=390, height=844)
    first.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    first.go(f"/events/{types[0].event_id}/")
    for each in types:
        first.write(f"[data-type='{each.pk}'] input", "1")
    first.press(".basket button[type=submit]")
    first.says("form.pay button", "Pay €80.00")

    # The first line, whose id is the order's, is removed. The order's page then shows the other lines.
    lead = Reservation.objects.get(ticket_type=types[0])
    first.press(f"a[href='/checkout/{lead.pk}/release/']")
    first.press("form button.danger")
    first.says("form.pay button", "Pay €65.00")
    first.go(f"/checkout/{lead.pk}/")
    first.says("form.pay button", "Pay €65.00")

    # The hold passes to an account. The account's session ends just before the payment.
    first.press("form.pay a[href^='/login/']")
    first.log_in(buyer.username, PASSWORD)
    first.says("form.pay button", "Pay €65.00")
    first.driver.delete_cookie("sessionid")
    first.press("form.pay button")
    first.log_in(buyer.username, PASSWORD)
    first.press("form.pay button")
    order = Reservation.objects.filter(ticket_type__event=types[0].event_id, buyer=buyer)
    eventually(lambda: order.filter(state="validated").count() == 2)
    first.driver.refresh()
    first.says("h1", "Your tickets are confirmed")
    first.says(".lead", f"Order number: {lead.pk}.")


def test_both_of_a_buyers_screens_stay_in_step(system: System, first: Browser, second: Browser) -> None:
    buyer, ticket_type = user_make(), type_on_sale()
    for person in (first, second):
        logged_in(person, buyer)
    first.go(f"/events/{ticket_type.event_id}/")
    first.press(".basket button[type=submit]")
    first.one("hold-countdown .face")
    hold = hold_set(buyer, seconds=200)
    for person in (first, second):
        person.go(f"/checkout/{hold}/")
        person.says("live-badge", "Live")
    first.run("document.querySelector('#token').value = 'card_error'")
    first.press("form.pay button")
    for person in (first, second):
        person.says("h1", "Payment failed")
        person.says("[data-field=error]", "declined")
    before = second.one("hold-countdown").text
    first.press(".extension button")
    second.wait(
        lambda p: p.one("hold-countdown").text > before and p.one("hold-countdown").text.startswith("4:")
    )
    second.press("form.pay button")
    first.says("h1", "Your tickets are confirmed")


def test_the_text_of_a_failed_payment_is_in_the_language_of_the_page(system: System, first: Browser) -> None:
    buyer = user_make()
    hold = reserve(buyer, type_on_sale())
    logged_in(first, buyer)
    first.driver.add_cookie({"name": "django_language", "value": "de"})
    first.go(f"/checkout/{hold}/")
    first.says("live-badge", "Live")
    first.run("document.querySelector('#token').value = 'card_error'")
    first.press("form.pay button")
    first.says("h1", "Zahlung fehlgeschlagen")
    first.says("[data-field=error]", "Ihre Karte wurde abgelehnt.")  # written by the server, or by a frame
    first.go(f"/checkout/{hold}/")
    first.says("[data-field=error]", "Ihre Karte wurde abgelehnt.")


# Lets the countdown of the page end in 62 seconds, by the clock of the page.
ALMOST_A_MINUTE = """
  const countdown = document.querySelector("hold-countdown");
  countdown.setAttribute("until", new Date(Date.now() + 62_000).toISOString());
"""


def test_the_countdown_is_announced_at_its_marks_only(system: System, first: Browser) -> None:
    buyer, ticket_type = user_make(), type_on_sale()
    hold = reserve(buyer, ticket_type)
    logged_in(first, buyer).go(f"/checkout/{hold}/")
    first.says("live-badge", "Live")
    assert first.one("hold-countdown .face").get_attribute("aria-hidden") == "true"
    assert first.run(ANNOUNCED) == ""
    first.run(ALMOST_A_MINUTE)
    first.wait(lambda p: "expires in one minute" in p.run(ANNOUNCED))


# Lets the countdown pass one minute, and returns what was announced then. A frame may set another end meanwhile.
PAST_A_MINUTE = """
  const done = arguments[0];
  const countdown = document.querySelector("hold-countdown");
  const begin = () => countdown.setAttribute("until", new Date(Date.now() + 60_500).toISOString());
  countdown.addEventListener("tick", ({ detail: left }) => {
    if (left > 120) begin();
    else if (left <= 60) setTimeout(() => done(document.getElementById("announcements").textContent));
  });
  begin();
"""


def test_no_countdown_is_announced_after_the_payment(system: System, first: Browser) -> None:
    buyer, ticket_type = user_make(), type_on_sale()
    hold = reserve(buyer, ticket_type)
    logged_in(first, buyer).go(f"/checkout/{hold}/")
    first.press("form.pay button[type=submit]")
    first.says("h1", "Your tickets are confirmed")
    first.says("live-badge", "Live")
    assert first.driver.execute_async_script(PAST_A_MINUTE) == ""


def test_the_end_of_a_reservation_is_right_for_screen_readers_too(system: System, first: Browser) -> None:
    buyer, ticket_type = user_make(), type_on_sale()
    hold = reserve(buyer, ticket_type)
    hold_set(buyer, seconds=100)
    logged_in(first, buyer).go(f"/checkout/{hold}/")
    first.says("live-badge", "Live")
    services.reservation_extend(buyer_id=buyer.pk, reservation_id=hold)
    ends_at = Reservation.objects.get(pk=hold).expires_at
    right = f"until {formats.time_to_the_second(ends_at, ticket_type.event.time_zone)}"
    shown = "return document.querySelector('[data-field=until]').textContent"
    first.wait(lambda page: page.run(shown).split() == right.split())


def test_a_buyer_is_told_that_the_field_for_the_card_did_not_load(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    hold = reserve(user := user_make(), ticket_type)
    logged_in(first, user).go(f"/checkout/{hold}/")
    first.says("live-badge", "Live")
    first.driver.execute_async_script("""
      document.querySelector("form.pay").insertAdjacentHTML("beforeend", "<p id='card-error'></p>");
      import("checkout/stripe-form.js").finally(arguments[0]); // the page has no script of Stripe
    """)
    first.says("#card-error", "The field for your card did not load. You were not charged.")


@pytest.mark.parametrize("language", parity.LANGUAGES)
def test_javascript_returns_the_results_of_the_cases(system: System, first: Browser, language: str) -> None:
    first.driver.add_cookie({"name": "django_language", "value": language})
    first.go("/")
    assert first.run("return document.documentElement.lang") == language
    results = first.driver.execute_async_script(parity.BROWSER, parity.MODULES, parity.CASES)
    assert parity.differences(results, language) == []
    assert len(parity.differences(results, language, cases=parity.planted())) == len(parity.CASES)


def pause_of(ticket_type: TicketType) -> str:
    """Return the selector of the link on the monitor that pauses the sale of a type's event."""
    return f"[data-row='{ticket_type.event_id}'] a[data-if='switch pause']"


class TestWhatStaffChange:
    """An open page shows every field of each new frame."""

    def test_a_change_in_the_admin_is_on_the_open_page(
        self, system: System, first: Browser, second: Browser, ticket_type: TicketType
    ) -> None:
        place = f"/events/{ticket_type.event_id}/"
        first.go(place)
        first.says("live-badge", "Live")
        first.press("[data-step='1']")
        first.says("output", "€30.00")
        logged_in(second, user_make(is_staff=True, is_superuser=True))
        second.go(f"/admin/tickets/event/{ticket_type.event_id}/change/")
        second.write("#id_name", "Gala of the year")
        second.write("#id_description", "With\ndinner")
        second.write("#id_date_1", "19:30:00")
        second.run("document.querySelector('#id_time_zone').value = 'Europe/Lisbon'")
        second.write("#id_ticket_types-0-price", "45.00")
        second.write("#id_ticket_types-0-name", "Balcony")
        second.write("#id_ticket_types-0-max_per_user", "3")
        second.press("input[name=_save]")
        second.one(".success")
        first.says("h1", "Gala of the year")
        first.says(".price", "€45.00")
        first.says("output", "€90.00")
        first.says(".lead time", "7:30 PM Lisbon time")
        first.says(".prose", "With\ndinner")
        first.says("h3", "Balcony")
        first.says("[data-field=limit]", "Limit: 3 per person.")
        assert first.one(".stepper input").get_attribute("value") == "2"
        assert first.one(".stepper input").get_attribute("max") == "3"
        assert first.one("[data-step='1']").get_attribute("aria-label") == "One ticket more: Balcony"
        assert first.one(".basket button[type=submit]").text == "Reserve"
        assert first.run("return document.title").startswith("Gala of the year")
        assert first.complaints() == []

    def test_prices_with_a_code_follow_an_edit(
        self, system: System, first: Browser, second: Browser, ticket_type: TicketType
    ) -> None:
        """Use a page that answered a refused form, without a code in its address, and a code without a discount."""
        voucher_make(ticket_type.event)
        voucher_make(ticket_type.event, "FLAT", price_rule="fixed", price_value=1500)
        place = f"/events/{ticket_type.event_id}/"
        logged_in(first, user_make()).go(f"{place}?code=spring")
        first.says(".price", "€13.50")
        first.run("document.querySelector('form.order').noValidate = true")
        first.write(".stepper input", "60")
        first.press(".basket button[type=submit]")
        first.one("#error")
        assert first.path == place
        second.go(f"{place}?code=flat")
        for person in (first, second):
            person.says("live-badge", "Live")
            person.run("Math.random = () => 0")  # pages spread their requests by chance
        first.write(".stepper input", "2")
        with db.transaction():
            TicketType.objects.filter(pk=ticket_type.pk).update(price_minor=2000)
            event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())
        first.says(".price [data-field=price]", "€18.00")
        first.says(".price s", "€20.00")
        first.says("output", "€36.00")
        second.says(".price s", "€20.00")
        assert second.one(".price [data-field=price]").text == "€15.00"

    def test_the_types_of_a_code_follow_edits_of_hidden_types_and_of_the_code(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        hidden = TicketType.objects.create(
            event=ticket_type.event, name="Friends", price_minor=1500, hidden=True
        )
        Inventory.objects.create(ticket_type=hidden, capacity=5, closes_at=ticket_type.event.date)
        voucher = voucher_make(ticket_type.event, types=[ticket_type, hidden])
        first.go(f"/events/{ticket_type.event_id}/?code=spring")
        first.says("live-badge", "Live")
        first.run("Math.random = () => 0")  # pages spread their requests by chance
        row = f"#type-{hidden.pk}"
        first.says(f"{row} .price [data-field=price]", "€13.50")
        first.write(f"{row} input", "2")
        with db.transaction():
            TicketType.objects.filter(pk=hidden.pk).update(price_minor=2000)
            event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())
        first.says(f"{row} .price [data-field=price]", "€18.00")
        first.says("output", "€36.00")
        terms = Terms(
            note="", price_rule=PriceRule.PERCENT, price_value=50, opens_early=False, most_uses=5,
            ticket_types=[ticket_type.pk, hidden.pk], valid_from=None, valid_until=None,
            currency=ticket_type.event.currency, time_zone=ticket_type.event.time_zone,
        )  # fmt: skip
        about = {"staff_id": user_make().pk, "event_id": ticket_type.event_id, "voucher_id": voucher.pk}
        voucher_services.voucher_change(**about, version=1, terms=terms, now=timezone.now())
        first.says("[data-field=code]", "50% off")
        first.says(f"#type-{ticket_type.pk} .price [data-field=price]", "€7.50")
        first.says("output", "€20.00")
        voucher_services.voucher_end(**about, version=2, ended=True, now=timezone.now())
        first.says("#code-error", "This code can no longer be used.")
        first.says(".price [data-field=price]", "€15.00")
        assert first.run("return document.querySelectorAll('.types li, form.order [name=code]').length") == 1
        assert first.complaints() == []

    def test_the_page_of_a_cancelled_event_shows_nothing_about_selling(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        voucher_make(ticket_type.event)
        first.go(f"/events/{ticket_type.event_id}/?code=spring")
        first.says("live-badge", "Live")
        parts = "[...document.querySelectorAll('[data-selling]')]"
        shown = f"return {parts}.filter((part) => part.offsetHeight > 0).length"
        # The effect of the code, the limit, the form for codes, and the tickets on hold.
        assert first.run(shown) == 4
        with db.transaction():
            event = event_operations.event_lock(event_id=ticket_type.event_id)
            assert event
            event_operations.event_status_set(event=event, status=EventStatus.CANCELLED, now=timezone.now())
            event_operations.event_changed(event_id=event.pk, now=timezone.now())
        first.says("[data-field=cancelled]", "This event is cancelled.")
        first.wait(lambda page: page.run(shown) == 0)

    def test_a_sell_out_is_announced_and_the_focus_stays_beside_it(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        first.go(f"/events/{ticket_type.event_id}/")
        first.says("live-badge", "Live")
        assert first.run(ANNOUNCED) == ""
        first.press("[data-step='1']")
        sold_out(ticket_type)
        first.wait(lambda page: page.run(ANNOUNCED) == "Stalls: Sold out")
        assert first.run("return document.activeElement.dataset.field") == "label", "the button is hidden"

    def test_a_sell_out_is_shown_by_a_browser_without_check_visibility(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        with first.beginning_with("delete Element.prototype.checkVisibility"):
            first.go(f"/events/{ticket_type.event_id}/")
            first.says("live-badge", "Live")
            first.press("[data-step='1']")
            sold_out(ticket_type)
            first.wait(lambda page: page.run("return document.activeElement.dataset.field") == "label")
        assert first.complaints() == []

    def test_a_title_with_signs_of_dollars_stays(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        Event.objects.filter(pk=ticket_type.event_id).update(name="Ca$$h & $& more")
        first.go(f"/events/{ticket_type.event_id}/")
        first.says("live-badge", "Live")
        assert first.driver.title.startswith("Ca$$h & $& more · ")

    def test_a_row_of_the_monitor_keeps_the_focus_when_it_moves(self, system: System, first: Browser) -> None:
        later, sooner = type_on_sale(), type_on_sale()
        logged_in(first, user_make(is_staff=True, is_superuser=True)).go("/monitor/")
        first.says("live-badge", "Live")
        first.run(f"document.querySelector({json.dumps(pause_of(later))}).focus()")
        with db.transaction():
            Event.objects.filter(pk=later.event_id).update(date=sooner.event.date - timedelta(minutes=5))
            event_operations.event_changed(event_id=later.event_id, now=timezone.now())
        first.wait(lambda page: page.all(f"[data-row='{later.event_id}'] ~ [data-row='{sooner.event_id}']"))
        assert first.run(f"return document.activeElement.matches({json.dumps(pause_of(later))})")

    def test_ticket_types_appear_and_disappear_on_an_open_page(
        self, system: System, first: Browser, second: Browser, ticket_type: TicketType
    ) -> None:
        first.go(f"/events/{ticket_type.event_id}/")
        first.says("live-badge", "Live")
        logged_in(second, user_make(is_staff=True, is_superuser=True))
        admin = f"/admin/tickets/event/{ticket_type.event_id}/change/"
        second.go(admin)
        second.write("#id_ticket_types-1-name", "Box")
        second.write("#id_ticket_types-1-price", "60.00")
        second.write("#id_ticket_types-1-capacity", "4")
        second.press("input[name=_save]")
        second.one(".success")
        first.says("h3", "Box")
        box = f"[data-type='{TicketType.objects.get(name='Box', event=ticket_type.event_id).pk}']"
        first.press(f"{box} [data-step='1']")
        first.says("output", "€75.00")  # one of each
        second.go(admin)
        second.press("#id_ticket_types-0-DELETE")
        second.press("input[name=_save]")
        second.one(".success")
        first.wait(lambda p: p.all(f"[data-type='{ticket_type.pk}']") == [])
        first.one(box)

    def test_the_page_of_a_deleted_event_says_so(
        self, system: System, first: Browser, second: Browser, ticket_type: TicketType
    ) -> None:
        event = ticket_type.event
        first.go(f"/events/{event.pk}/")
        first.says("live-badge", "Live")
        logged_in(second, user_make(is_staff=True, is_superuser=True))
        second.go(f"/admin/tickets/event/{event.pk}/delete/")
        second.press("main input[type=submit]")
        second.one(".success")
        first.says("[data-field=removed]", "no longer available")
        assert first.all(".basket button[type=submit]")[0].is_displayed() is False

    def test_the_list_of_events_follows_changes(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        first.go("/")
        first.says("live-badge", "Live")
        row = f"[data-event='{ticket_type.event_id}']"
        first.says(f"{row} .tone", "50 left")
        with db.transaction():
            Event.objects.filter(pk=ticket_type.event_id).update(name="Soiree")
            event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())
        first.says(f"{row} h3", "Soiree")
        sold_out(ticket_type)
        first.says(f"{row} .tone", "Sold out", seconds=20)
        new = announced(type_on_sale())
        first.says(f"[data-event='{new.event_id}'] .tone", "50 left")

    def test_the_list_of_events_stays_when_two_changes_need_the_same_page(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        # Both changes wait for one fetch: that of the second may begin from two seconds after it.
        with first.beginning_with("Math.random = () => 0.9"):
            first.go("/")
            first.says("live-badge", "Live")
            label = f"[data-event='{ticket_type.event_id}'] .tone"
            first.says(label, "50 left")
            sold_out(ticket_type)
            first.says(label, "No tickets left")  # until the page comes
            new = announced(type_on_sale())
            first.says(f"[data-event='{new.event_id}'] .tone", "50 left")
            first.says(label, "Sold out")

    def test_the_list_of_events_is_asked_for_again_after_a_failure(
        self, system: System, first: Browser
    ) -> None:
        failing = """
            const answered = fetch;
            let fails = true;
            globalThis.fetch = (...asked) => {
              if (!fails) return answered(...asked);
              fails = false;
              return Promise.reject(new TypeError("no network"));
            };
            Math.random = () => 0;"""
        with first.beginning_with(failing):
            first.go("/")
            first.says("live-badge", "Live")
            new = announced(type_on_sale())
            first.says(f"[data-event='{new.event_id}'] .tone", "50 left")

    def test_a_list_that_loses_its_last_event_says_that_it_is_empty(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        row = f"[data-event='{ticket_type.event_id}']"
        first.go("/")
        first.says(f"{row} .tone", "50 left")
        first.go(f"/?q={ticket_type.event.name}")
        first.says("live-badge", "Live")
        first.says(f"{row} .tone", "50 left")
        with db.transaction():
            Inventory.objects.filter(ticket_type=ticket_type).update(paused=True)
            Event.objects.filter(pk=ticket_type.event_id).update(status=EventStatus.DRAFT)
            event_operations.event_changed(event_id=ticket_type.event_id, now=timezone.now())
        first.says(".nothing", "No events match")
        assert first.all("[data-event]") == []


class TestOwnTickets:
    def test_a_page_tells_a_buyers_held_pending_and_paid_tickets(
        self, system: System, first: Browser, second: Browser, ticket_type: TicketType
    ) -> None:
        buyer = user_make()
        hold = reserve(buyer, ticket_type)
        place = f"/events/{ticket_type.event_id}/"
        logged_in(first, buyer).go(place)
        first.says(".mine", "You have 1 reserved ticket. Go to checkout")
        hanging = payment_hang(buyer, hold)
        publish.streams_mark(streams=[streams.me(buyer.pk)])
        first.says(".mine", "Your payment for 1 ticket is in progress. Check status")
        payment_forget(hanging)
        logged_in(second, buyer).go(f"/checkout/{hold}/")
        second.press("form.pay button")
        first.says("[data-field=limit]", "You bought 1.")
        first.wait(lambda p: not p.all(".mine")[0].is_displayed())
        assert first.one(".stepper input").get_attribute("max") == "7"
        first.go(place)
        first.says("[data-field=limit]", "Limit: 8 per person. You bought 1.")

    def test_a_refusal_disappears_when_it_is_no_longer_true(self, system: System, first: Browser) -> None:
        ticket_type = type_on_sale(capacity=1)
        hold = reserve(user := user_make(), ticket_type)
        logged_in(first, user_make()).go(f"/events/{ticket_type.event_id}/")
        first.press(".basket button[type=submit]")
        first.says("#error", "All remaining tickets are reserved")
        first.says(".types .tone", "All reserved")
        services.reservation_release(buyer_id=user.pk, reservation_id=hold)
        first.says(".notice", "Tickets are available again")
        first.wait(lambda p: p.all("#error") == [])


class TestAccessibility:
    """axe-core finds no serious fault."""

    def test_public_pages_have_no_fault_that_axe_finds(self, system: System, first: Browser) -> None:
        ticket_type, sold_out, paused, on_hold = (
            type_on_sale(),
            type_on_sale(capacity=0),
            type_on_sale(),
            type_on_sale(capacity=1),
        )
        services.sale_pause(staff_id=None, event_ids=[paused.event_id], paused=True, now=timezone.now())
        reserve(user_make(), on_hold)
        look(first, "/", "/?q=nothing+of+the+kind", "/login/?next=/me/", "/signup/", "/password-reset/")
        look(first, "/password-reset/sent/", "/password-reset/x/y/", "/nothing-here/")
        look(first, *(f"/events/{each.event_id}/" for each in (ticket_type, sold_out, paused, on_hold)))
        first.go("/login/")
        first.log_in("nobody", "wrong")
        first.one(".alert")
        axe(first)

    def test_a_buyers_pages_have_no_fault_that_axe_finds(self, system: System, first: Browser) -> None:
        buyer, ticket_type = user_make(), type_on_sale()
        logged_in(first, buyer)
        look(first, "/me/")
        first.go(f"/events/{ticket_type.event_id}/")
        first.run("document.querySelector('form.order').noValidate = true")
        first.write(".stepper input", "60")
        first.press(".basket button[type=submit]")
        first.one("#error")
        assert first.run("return document.activeElement.id") == "error"
        axe(first)
        held, late, released, paid, waiting = (reserve(buyer, type_on_sale()) for _ in range(5))
        Reservation.objects.filter(pk=late).update(expires_at=timezone.now())
        services.reservation_release(buyer_id=buyer.pk, reservation_id=released)
        for pk, token in ((held, "card_error"), (paid, "ok")):
            checkout.reservation_pay(buyer_id=buyer.pk, reservation_id=pk, gateway="sandbox", token=token)
        hanging = payment_hang(buyer, waiting)
        stages = {held: "failed", late: "expired", released: "released", paid: "paid", waiting: "processing"}
        for pk, stage in stages.items():
            first.go(f"/checkout/{pk}/")
            first.one(f"h1[data-when={stage}]")
            axe(first)
        payment_forget(hanging)
        look(first, "/me/", "/monitor/", f"/events/{ticket_type.event_id}/")  # the monitor is refused
        staff = user_make(is_staff=True, is_superuser=True)
        paid_for = Payment.objects.get(reservation_id=paid)
        checkout.refund_request(
            staff_id=staff.pk, payment_id=paid_for.pk, amount_minor=None, return_tickets=True
        )
        first.go(f"/checkout/{paid}/")
        first.one("h1[data-when=refunded]")
        axe(first)

    def test_staff_pages_have_no_fault_that_axe_finds(self, system: System, first: Browser) -> None:
        ticket_type = type_on_sale()
        logged_in(first, user_make(is_staff=True, is_superuser=True))
        look(first, "/monitor/", f"/events/{ticket_type.event_id}/sale/", "/reservations/return/")
        colleague, buyer = user_make(is_staff=True), user_make()
        look(first, "/office/people/", f"/office/people/{colleague.pk}/", "/account/tokens/")
        look(first, f"/office/personal-data/?q={buyer.username}", f"/office/personal-data/{buyer.pk}/")
        door = f"/door/?event={ticket_type.event_id}&gate=North"
        office = f"/office/events/{ticket_type.event_id}"
        look(first, "/office/", "/office/events/new/", f"{office}/attendees/")
        look(first, "/door/", door)
        first.write("#shown", "nothing\n")
        first.says(".answer h2", "Not a ticket")
        axe(first)
        first.emulate(width=320, height=800, dark=True)
        found = f"/monitor/?q={ticket_type.event.name.replace(' ', '+')}"
        look(first, "/", f"/events/{ticket_type.event_id}/", found, "/me/", door)
        look(first, "/office/journal/", f"{office}/messages/", f"{office}/", f"{office}/codes/")

    def test_axe_finds_a_planted_fault(self, system: System, first: Browser) -> None:
        """Plant a fault, as a negative control."""
        first.go("/login/")
        first.run("document.querySelector('#id_username').labels[0].remove()")
        with pytest.raises(AssertionError, match="label"):
            axe(first)
        first.go("/login/")
        first.run("document.querySelector('#id_username').setAttribute('aria-describedby', 'nothing')")
        with pytest.raises(AssertionError, match="nothing"):
            axe(first)

    def test_the_tab_order_is_the_reading_order(
        self, system: System, first: Browser, ticket_type: TicketType
    ) -> None:
        first.go(f"/events/{ticket_type.event_id}/")
        first.says("live-badge", "Live")
        assert tabs(first, 10) == [
            "Skip to content",
            "Ticket Overlord",
            "Events",
            "Log in",
            "All events",
            "One ticket fewer: Stalls",
            "Number of tickets: Stalls",
            "One ticket more: Stalls",
            "Reserve",
            "For developers",
        ]

    @pytest.mark.parametrize("width", [320, 640])  # 640 is 1280 at 200 %
    def test_nothing_is_cut_off_on_a_narrow_screen(self, system: System, first: Browser, width: int) -> None:
        buyer, ticket_type = user_make(is_staff=True, is_superuser=True), type_on_sale()
        logged_in(first, buyer)
        first.emulate(width=width, height=800)
        door = f"/door/?event={ticket_type.event_id}&gate=North"
        for path in ("/", f"/events/{ticket_type.event_id}/", "/me/", "/monitor/", "/door/", door):
            first.go(path)
            assert first.run("return document.documentElement.scrollWidth") <= width, path
            assert small_targets(first) == [], path
            first.run("document.querySelector('.wordmark span').textContent = 'W'.repeat(60)")
            assert first.run("return document.documentElement.scrollWidth") <= width, (
                "a long name of the shop"
            )

    def test_text_of_twice_the_size_fits_on_a_phone(self, system: System, first: Browser) -> None:
        """A browser with larger text makes the page no wider: nobody has to scroll in two directions."""
        buyer, ticket_type = user_make(), type_on_sale()
        voucher_make(ticket_type.event, text="NORD")
        event = f"/events/{ticket_type.event_id}/"
        hold = reserve(buyer, ticket_type)
        first.emulate(width=320, height=800)
        for path in ("/", "/login/", event, f"{event}?code=SOUTH", "/me/", f"/checkout/{hold}/"):
            if path == "/me/":
                logged_in(first, buyer)
            first.go(path)
            first.run("document.documentElement.style.fontSize = '32px'")
            assert first.run("return document.documentElement.scrollWidth") <= 320, path

    def test_the_menu_is_one_row_on_a_phone_and_shows_where_the_page_is(
        self, system: System, first: Browser
    ) -> None:
        logged_in(first, user_make(is_staff=True, is_superuser=True))
        first.emulate(width=390, height=844)
        first.go("/door/")
        first.wait(lambda page: page.run("return document.querySelector('.masthead nav').scrollLeft") > 0)
        rows, width, here = first.run("""
          const links = [...document.querySelectorAll(".masthead nav :is(a, button)")];
          const here = document.querySelector(".masthead nav [aria-current]").getBoundingClientRect();
          const rows = new Set(links.map((each) => each.getBoundingClientRect().top));
          return [rows.size, document.documentElement.scrollWidth, [here.left, here.right]];
        """)
        assert (rows, width) == (1, 390)
        assert 0 <= here[0] < here[1] <= 390
        assert tabs(first, 10)[-1] == "Log out"
        button = first.run("return document.activeElement.getBoundingClientRect().right")
        assert button <= 390, "what has the focus can be seen"


def payment_hang(buyer: User, hold: int) -> Payment:
    """Let a payment of the hold be in progress until `payment_forget`. No worker processes it meanwhile."""
    opened = checkout.payment_create(buyer_id=buyer.pk, reservation_id=hold, gateway="sandbox")
    later = timezone.now() + timedelta(days=1)
    Payment.objects.filter(pk=opened.payment.pk).update(
        status="PROCESSING", lease_until=later, next_look_at=later, deadline=later
    )
    Reservation.objects.filter(pk=hold).update(state="paying", paying_since=timezone.now())
    return opened.payment


def payment_forget(payment: Payment) -> None:
    """Undo `payment_hang`: turn the order into a hold again."""
    Reservation.objects.filter(pk=payment.reservation_id).update(state="held", paying_since=None)
    payment.delete()


def look(person: Browser, *paths: str) -> None:
    """Check that a page has no fault that axe finds, and that it does not scroll sideways as a whole."""
    for path in paths:
        person.go(path)
        axe(person)
        root = "const {clientWidth, scrollWidth} = document.documentElement;"
        width, whole = person.run(f"{root} return [clientWidth, scrollWidth]")
        assert whole <= width, path


def tabs(person: Browser, count: int) -> list[str]:
    from selenium.webdriver.common.keys import Keys

    named = """
      const e = document.activeElement;
      return (e.getAttribute("aria-label") || e.textContent).replace(/\\s+/g, " ").trim();
    """
    person.run("document.body.focus(); window.getSelection().removeAllRanges()")
    order = []
    for _ in range(count):
        person.driver.switch_to.active_element.send_keys(Keys.TAB)
        order.append(person.run(named))
    return order


def small_targets(person: Browser) -> list[str]:
    """Return the controls that are smaller than 24 by 24 pixels, except links in a sentence."""
    return list(
        person.run("""
          return [...document.querySelectorAll("button, input:not([type=hidden]), select, summary, nav a, .button")]
            .filter((e) => e.checkVisibility() && (e.offsetWidth < 24 || e.offsetHeight < 24))
            .map((e) => e.outerHTML.slice(0, 120));
        """)
    )


@pytest.mark.parametrize(
    "path", ["/", "/events/{event}/", "/login/", "/me/", "/checkout/{hold}/", "/monitor/"]
)
def test_the_first_load_is_small(system: System, first: Browser, path: str) -> None:
    user, ticket_type = user_make(is_staff=True, is_superuser=True), type_on_sale()
    hold = reserve(user, ticket_type)
    logged_in(first, user).go("/livez/")
    first.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    if path == "/login/":
        first.driver.delete_all_cookies()
    first.go(path.format(event=ticket_type.event_id, hold=hold))
    first.wait(lambda p: p.run("return document.readyState") == "complete")
    taken = first.run("""
      return performance.getEntriesByType("resource")
        .filter(({name}) => /\\.(js|css)(\\?|$)/.test(name)).map(({name}) => name);
    """)
    assert len(taken) >= 4
    client = system.buyer().http
    assert sum(len(gzip.compress(client.get(name).content)) for name in set(taken)) <= FIRST_LOAD


def reserve(user: User, ticket_type: TicketType) -> int:
    made = services.reservation_create(
        buyer_id=user.pk,
        ticket_type=ticket_type.pk,
        quantity=1,
        key=None,
        hold=timedelta(minutes=5),
        now=timezone.now(),
    )
    return int(made.reservation["id"])


def test_a_page_without_live_state_tells_its_age(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    child = system.child("live")
    child.stop()
    with first.beginning_with("Math.random = () => 0.05"):  # the pauses between two tries are random
        try:
            first.go(f"/events/{ticket_type.event_id}/")
            first.says("live-badge", "Showing data from")
            first.press("[data-step='1']")
            first.says("output", "€30.00")
        finally:
            system.restart("live")
        first.says("live-badge", "Live")


# A browser to whom the server refuses the stream of the buyer's own tickets.
WITHOUT_OWN = """
  const Usual = WebSocket;
  window.WebSocket = class {
    static OPEN = Usual.OPEN;
    constructor(url, protocols) {
      if (!url.endsWith("/ws/me/")) return new Usual(url, protocols);
      setTimeout(() => this.onclose?.({ code: 4503 }));
    }
    close() {}
  };
"""


def test_a_page_whose_own_stream_is_away_does_not_say_that_it_is_live(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    reserve(user := user_make(), ticket_type)
    logged_in(first, user)
    with first.beginning_with(WITHOUT_OWN):
        first.go(f"/events/{ticket_type.event_id}/")
        first.says(".mine", "You have 1 reserved ticket")
        first.says("live-badge", "Showing data from")
    first.driver.refresh()
    first.says("live-badge", "Live")


# A phone whose clock is wrong, behind a proxy that refuses sockets.
ALONE = """
  const Right = Date, wrong = %d * 60_000;
  window.Date = class extends Right {
    constructor(...given) { super(...(given.length > 0 ? given : [Right.now() + wrong])); }
    static now() { return Right.now() + wrong; }
  };
  window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); }
    close() {}
  };
"""


@pytest.mark.parametrize("wrong", [20, -20])
def test_a_countdown_without_a_stream_does_not_go_by_a_wrong_clock(
    system: System, first: Browser, ticket_type: TicketType, wrong: int
) -> None:
    hold = reserve(user := user_make(), ticket_type)
    logged_in(first, user)
    with first.beginning_with(ALONE % wrong):
        first.go(f"/checkout/{hold}/")
        first.says("hold-countdown .face", "4:")


def test_tickets_are_sold_with_javascript_off(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    first.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    first.go(f"/events/{ticket_type.event_id}/")
    assert "As of" in first.one("live-badge").text
    first.press(".basket button[type=submit]")
    first.one("form.pay")
    buyer = Reservation.objects.get(ticket_type=ticket_type).buyer
    hold = hold_set(buyer, seconds=200)
    assert first.path == f"/checkout/{hold}/"
    first.press(".extension button")
    first.write("#email", f"ada-{secrets.token_hex(4)}@example.org")
    first.write("#name", "Ada")
    first.press("form.pay button")
    first.wait(lambda p: not any(form.is_displayed() for form in p.all("form.pay")))
    eventually(lambda: Reservation.objects.get(pk=hold).state == "validated")
    first.driver.refresh()
    assert first.one("h1").text == "Your tickets are confirmed"


def test_a_form_whose_session_ended_says_that_the_page_expired(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    hold = reserve(user := user_make(), ticket_type)
    logged_in(first, user).go(f"/checkout/{hold}/")
    first.driver.delete_cookie("csrftoken")
    first.press("form.pay button[type=submit]")
    first.says("h1", "This page has expired.")
    assert Reservation.objects.get(pk=hold).state == "held"
    first.says(".lead", "Go back, reload the page and try again.")
    first.driver.back()
    first.driver.refresh()
    first.press("form.pay button[type=submit]")
    first.says("h1", "Your tickets are confirmed")


def test_releasing_asks_in_a_dialog(system: System, first: Browser, ticket_type: TicketType) -> None:
    hold = reserve(user := user_make(), ticket_type)
    logged_in(first, user).go(f"/checkout/{hold}/")
    first.says("live-badge", "Live")
    first.press("a.release")
    first.says("dialog h2", "Release your tickets?")
    first.says("dialog p", "1 × Stalls")
    assert first.run("return document.activeElement.textContent") == "Keep tickets"
    first.press("dialog button.quiet")
    first.wait(lambda p: not any(dialog.is_displayed() for dialog in p.all("dialog")))
    assert Reservation.objects.get(pk=hold).state == "held"
    first.press("a.release")
    first.press("dialog button.danger")
    first.says(".notice", "Your tickets were released.")
    assert Reservation.objects.get(pk=hold).state == "released"


def test_a_button_that_is_hard_to_undo_asks_first(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    hold = reserve(user_make(), ticket_type)
    logged_in(first, user_make(is_staff=True, is_superuser=True))
    first.go(f"/office/orders/{hold}/")
    release = "form[action$='/release/'] button"
    first.press(release)
    first.says("dialog h2", "Release the reservation?")
    assert first.run("return document.activeElement.textContent") == "Cancel"
    axe(first)
    first.press("dialog button.quiet")
    first.wait(lambda p: not p.all("dialog"))
    assert first.run(f'return document.activeElement === document.querySelector("{release}")')
    assert Reservation.objects.get(pk=hold).state == "held"
    first.press(release)
    first.press("dialog button.danger")
    first.says(".notice", "The tickets are back on sale.")
    assert Reservation.objects.get(pk=hold).state == "released"


def test_a_code_that_is_refused_has_the_focus(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    voucher_make(ticket_type.event)
    first.emulate(width=360, height=600)
    first.go(f"/events/{ticket_type.event_id}/")
    first.write("#code", "NOTHING\n")
    first.one("#code-error")
    seen = "const {top, bottom} = document.activeElement.getBoundingClientRect();"
    assert first.run(f"{seen} return [document.activeElement.id, top >= 0 && bottom <= innerHeight]") == [
        "code",
        True,
    ]
    assert first.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_chosen_numbers_are_kept_when_a_code_is_entered(
    system: System, first: Browser, ticket_type: TicketType
) -> None:
    voucher_make(ticket_type.event)
    first.go(f"/events/{ticket_type.event_id}/")
    first.press("[data-step='1']")
    first.press("[data-step='1']")
    first.says("output", "€45.00")
    for code, total in (("NOTHING", "€45.00"), ("SPRING", "€40.50")):
        first.write("#code", f"{code}\n")
        first.wait(lambda page, code=code: f"code={code}" in page.path)
        first.says("output", total)
    assert first.complaints() == []


# The figures of the page that are in more than one line.
BROKEN = """
  const range = document.createRange();
  const isBroken = (text) => {
    range.selectNodeContents(text);
    return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1;
  };
  return [...document.querySelectorAll(".figures dd, td.num, .list .num")]
    .filter((figure) => figure.checkVisibility())
    .flatMap((figure) => [figure, ...figure.children]).flatMap((figure) => [...figure.childNodes])
    .filter((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() && isBroken(node))
    .map(({ textContent }) => textContent);
"""


def test_large_figures_and_long_names_of_types_fit_on_a_phone(system: System, first: Browser) -> None:
    ticket_type = type_on_sale()
    inventory = Inventory.objects.filter(pk=ticket_type.pk)
    inventory.update(capacity=LARGEST_AMOUNT, sold=LARGEST_AMOUNT // 2)
    logged_in(first, user_make(is_staff=True, is_superuser=True))
    try:
        for width in (320, 360, 390):
            first.emulate(width=width, height=800)
            first.go("/monitor/")
            first.says(f"[data-row='{ticket_type.event_id}']", "1,073,741,824")
            assert first.run("return document.documentElement.scrollWidth") <= width
            assert first.run(BROKEN) == []
    finally:
        inventory.update(sold=0)

    office = f"/office/events/{ticket_type.event_id}/"
    scrolled = "return document.querySelector('.scroll').scrollWidth"
    first.go(office)
    usual = first.run(scrolled)
    TicketType.objects.filter(pk=ticket_type.pk).update(name="W" * 60)
    first.go(office)
    assert first.run(scrolled) <= usual + 60


def test_a_long_name_fits_on_a_phone(system: System, first: Browser) -> None:
    ticket_type = type_on_sale()
    Event.objects.filter(pk=ticket_type.event_id).update(name="W" * 160)
    TicketType.objects.filter(pk=ticket_type.pk).update(name="Weihnachtsoratorium" * 3)
    hold = reserve(user := user_make(), ticket_type)
    logged_in(first, user)
    first.emulate(width=390, height=800)
    for path in ("/", f"/events/{ticket_type.event_id}/", f"/checkout/{hold}/", "/me/"):
        first.go(path)
        assert first.run("return document.documentElement.scrollWidth") <= 390, path
