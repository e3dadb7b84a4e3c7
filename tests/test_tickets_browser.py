"""The tickets' page in headless Chromium: it shows each change at once, and works without a network once seen."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from overlord.kernel import db
from tests import browser
from tests.browser import Browser
from tests.system import System
from tests.visitors import axe, fresh, type_on_sale, user_make
from tickets.admission import operations, selectors, sql
from tickets.admission.models import Ticket
from tickets.admission.tests.admitting import paid, tickets_of
from tickets.admission.tests.doors import codes_of, scan
from tickets.models import Reservation

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]

# Waits until the service worker has stored the open page and its modules.
KEPT = """
  const done = arguments[0];
  caches.open("tickets-1").then(async (kept) => {
    const addresses = (await kept.keys()).map(({ url }) => url);
    const needed = [/live-badge[^/]*\\.js$/, /formats[^/]*\\.js$/];
    done(addresses.includes(location.href) && needed.every((name) => addresses.some((url) => name.test(url))));
  });
"""


@pytest.fixture
def people(system: System) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def phone(people: ExitStack, system: System) -> Browser:
    person = fresh(people.enter_context(browser.borrowed()), system)
    person.emulate(width=390, height=844)
    return person


def order_page(reservation: Reservation) -> str:
    return f"/t/{selectors.order_link(order_id=reservation.pk)}/"


def codes_shown(person: Browser) -> int:
    return len(person.all(".pass .qr"))


def test_open_pages_are_told_of_each_change(system: System, people: ExitStack) -> None:
    reservation = paid(user_make(), type_on_sale(), 3)
    first = tickets_of(reservation)[0]
    buyer, holder = phone(people, system), phone(people, system)
    buyer.go(order_page(reservation))
    buyer.says("live-badge", "Live")
    axe(buyer)

    # The buyer hands the first ticket over, by the form. Its new holder has another page.
    buyer.press("#ticket-1 summary")
    buyer.write("#email-1", "friend@example.org")
    buyer.press("#ticket-1 button[name=hand_over]")
    buyer.says("#ticket-1", "Handed over")
    first.refresh_from_db()
    holder.go(f"/t/{selectors.ticket_link(ticket_id=first.pk, issue=first.issue)}/")
    holder.says("live-badge", "Live")
    assert (codes_shown(buyer), codes_shown(holder)) == (2, 1)

    # A form that is being filled in stays while other tickets change around it.
    buyer.says("live-badge", "Live")
    buyer.run("document.querySelector('#ticket-2 details').open = true")
    buyer.run("document.querySelector('#holder-2').value = 'Ada'")
    scan(codes_of(reservation)[2], actor_id=reservation.buyer_id, gate="North")
    buyer.says("#ticket-3", "Used")
    assert buyer.run("return document.querySelector('#holder-2').value") == "Ada"

    # The holder hands the ticket over again, and the link ends. Then a refund makes all tickets void.
    holder.press("#ticket-1 summary")
    holder.write("#email-1", "another@example.org")
    earlier = phone(people, system)
    earlier.go(holder.path)
    earlier.says("live-badge", "Live")
    holder.press("button[name=hand_over]")
    holder.says("h1", "handed over")
    earlier.says("[data-field=said]", "This link no longer works")
    assert codes_shown(earlier) == 0
    with db.transaction():
        operations.tickets_revoke(order_id=reservation.pk, now=db.now())
    buyer.says("#ticket-2", "Not valid")
    assert codes_shown(buyer) == 0
    assert "Print or save as PDF" not in buyer.one("main").text
    assert Ticket.objects.filter(reservation=reservation, state="revoked").count() == 3
    assert [each for each in buyer.complaints() if "409" not in each] == []


def test_names_that_are_typed_for_other_tickets_stay(system: System, people: ExitStack) -> None:
    reservation = paid(user_make(), type_on_sale(), 3)
    buyer = phone(people, system)
    buyer.go(order_page(reservation))
    buyer.run("""
      const typed = { "holder-2": "Grace", "email-3": "alan@example.org", "email-1": "friend@example.org" };
      for (const [id, text] of Object.entries(typed)) document.getElementById(id).value = text;
      document.querySelector("#ticket-1 button[name=hand_over]").click();
    """)
    buyer.says("#ticket-1", "Handed over")
    kept = "return ['holder-2', 'email-2', 'email-3'].map((id) => document.getElementById(id).value)"
    buyer.wait(lambda page: page.run(kept) == ["Grace", "", "alan@example.org"])
    buyer.run("document.querySelector('#ticket-2 form button').click()")
    buyer.wait(
        lambda page: page.run("return document.querySelector('#ticket-2 dl').textContent.includes('Grace')")
    )
    buyer.wait(lambda page: page.run(kept) == ["Grace", "", "alan@example.org"])


# Lets the page fetch itself again, and returns the text of what has the focus afterwards.
FOCUSED = """
  const [done] = arguments;
  const page = document.querySelector("ticket-page");
  document.querySelector("[data-field=links] a").focus();
  page.refresh();
  page.asked.then(() => done(document.activeElement.textContent));
"""


def test_a_page_that_is_fetched_again_keeps_the_focus(system: System, people: ExitStack) -> None:
    buyer = phone(people, system)
    buyer.go(order_page(paid(user_make(), type_on_sale(), 2)))
    buyer.says("live-badge", "Live")
    assert buyer.driver.execute_async_script(FOCUSED) == "Print or save as PDF"


def test_tickets_show_without_a_network_once_they_were_seen(system: System, people: ExitStack) -> None:
    reservation = paid(user_make(), type_on_sale(), 2)
    buyer = phone(people, system)
    buyer.go(order_page(reservation))
    buyer.says("live-badge", "Live")
    buyer.wait(lambda p: p.driver.execute_async_script(KEPT))
    assert buyer.complaints() == []

    buyer.cut_network(off=True)
    Ticket.objects.filter(reservation=reservation).update(holder="Grace Hopper", changed=sql.CHANGED_NOW)
    buyer.says("live-badge", "Showing data from")
    buyer.driver.refresh()
    buyer.says("[data-field=said]", "No connection")
    assert codes_shown(buyer) == 2
    assert "Grace Hopper" not in buyer.one("main").text, "the page shows the stored tickets"

    buyer.cut_network(off=False)
    buyer.says("#ticket-2", "Grace Hopper")
    buyer.says("live-badge", "Live")
    buyer.wait(lambda p: p.run("return document.querySelector('[data-field=said]').textContent") == "")
