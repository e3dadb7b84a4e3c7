"""The widget on a page of another site, and the look of the shop, in headless Chromium on the running system."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from overlord.shop.models import Look
from overlord.shop.permissions import Permission
from tests import browser
from tests.browser import Browser
from tests.clients import permit
from tests.system import System, eventually
from tests.visitors import axe, fresh, logged_in, type_on_sale, user_make
from tickets import availability_labels
from tickets.tests.reserving import claim

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]

# A page whose styles would spoil the widget if they reached it. Its policy is that of docs/office.md, or allows no
# socket.
PAGE = """<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Club</title>
<style>* {{ color: red !important; font: 3px fantasy !important; letter-spacing: 1em; }}
p, a, div {{ display: none !important; }}</style></head>
<body><main><h1 style="font: 2rem serif !important; color: black !important">Club</h1>
<script type="module" src="{shop}/static/tickets/widget.js?event={event}"></script></main></body></html>"""
POLICY = "default-src 'none'; script-src {shop}; style-src {shop} 'unsafe-inline'; connect-src {shop}{socket}"

PART = """
  const part = document.querySelector("ticket-widget")?.shadowRoot.querySelector(arguments[0]);
  return part && { text: part.textContent, href: part.href, color: getComputedStyle(part).color,
                   font: getComputedStyle(part).fontSize };
"""
# Returns the close code of a stream, or 0 when a frame comes.
WATCH = """
  const [path, done] = [arguments[0], arguments[1]];
  const socket = new WebSocket(path);
  socket.onmessage = () => done(0);
  socket.onclose = ({ code }) => done(code);
"""
LABELS = """
  const [address, events, done] = arguments;
  import(address).then(({ labelOf, wordsOf }) => done(events.map((event) => labelOf(event, wordsOf("en")))));
"""
EVENT = {"available": 50, "held": 0, "opens_at": None}
EVENTS = [
    {
        "sale": sale,
        "time_zone": "UTC",
        "tickets": [{**EVENT, "sale": sale, "available": available, "held": held}],
    }
    for sale, available, held in (
        *((sale, 50, 0) for sale in ("upcoming", "ended", "cancelled", "paused", "line", "open")),
        *(
            ("open", available, held)
            for available, held in ((1234, 1), (11, 0), (10, 0), (1, 3), (0, 2), (0, 0))
        ),
    )
]


class OtherSite(BaseHTTPRequestHandler):
    """A web server of another origin. Its addresses are /<event>/ and /<event>/no-socket/."""

    def __init__(self, shop: str, *args: object) -> None:
        self.shop = shop
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        event = self.path.split("/")[1]
        socket = "" if "no-socket" in self.path else f" {self.shop.replace('http', 'ws', 1)}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", POLICY.format(shop=self.shop, socket=socket))
        self.end_headers()
        self.wfile.write(PAGE.format(shop=self.shop, event=event).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere(system: System) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(OtherSite, system.url))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def person(system: System) -> Iterator[Browser]:
    with browser.borrowed() as opened:
        yield fresh(opened, system)


def says(person: Browser, part: str, text: str) -> None:
    person.wait(lambda p: text in ((p.run(PART, part) or {}).get("text") or ""))


def test_the_widget_shows_the_tickets_left_on_a_page_of_another_site(
    system: System, person: Browser, elsewhere: str
) -> None:
    buyer, ticket_type = user_make(), type_on_sale(capacity=15)
    logged_in(person, buyer)  # its cookie is sent to each port of this host
    person.driver.get(f"{elsewhere}/{ticket_type.event_id}/")
    says(person, ".label", "15 übrig")
    claim(buyer.pk, ticket_type, 8)
    says(person, ".label", "Nur noch 7 übrig")
    says(person, "[role=status]", "Nur noch 7 übrig")
    link = person.run(PART, "a")
    assert (link["text"], link["href"]) == ("Tickets holen", f"{system.url}/events/{ticket_type.event_id}/")
    label = person.run(PART, ".label")
    assert (label["font"], label["color"]) == ("16px", "rgb(143, 82, 0)")
    assert person.run("return localStorage.length + sessionStorage.length") == 0
    assert person.complaints() == []
    axe(person)
    socket = system.url.replace("http", "ws", 1)
    for path, code in ((f"events/{ticket_type.event_id}", 0), ("me", 4403), ("stats", 4403)):
        assert person.driver.execute_async_script(WATCH, f"{socket}/ws/{path}/") == code, path
    said = person.driver.execute_async_script(LABELS, f"{system.url}/static/tickets/widget.js", EVENTS)
    held = [event["tickets"][0]["held"] for event in EVENTS]
    flat = [{"sale": event["sale"], "available": event["tickets"][0]["available"]} for event in EVENTS]
    known = [availability_labels.of_event(each, n) for each, n in zip(flat, held, strict=True)]
    assert said == [{"tone": each.tone, "text": each.text} for each in known]
    person.complaints()  # errors of axe, which reads style sheets of other sites

    person.driver.get(f"{elsewhere}/{ticket_type.event_id}/no-socket/")
    says(person, ".label", "Nur noch 7 übrig")
    assert any("connect-src" in each for each in person.complaints()), "the page's policy allows no socket"


def mark_colour(person: Browser) -> str:
    """Open the home page and return the colour of the mark in its head."""
    person.go("/")
    return str(person.run("return getComputedStyle(document.querySelector('.mark')).color"))


def test_a_new_look_is_on_all_pages_of_all_processes(system: System, person: Browser) -> None:
    logged_in(person, permit(user_make(), Permission.MANAGE_LOOK))
    person.go("/office/look/")
    person.write("#id_name", "Club Nord")
    person.run("document.querySelector('#id_accent').value = '#ffee00'")
    person.press("main form button[type=submit]")
    person.says("#id_accent_error", "Its contrast is 1.15, but at least 4.5 is needed")
    axe(person)
    assert all("400 (Bad Request)" in each for each in person.complaints())
    try:
        person.run("document.querySelector('#id_accent').value = '#b3261e'")
        person.press("main form button[type=submit]")
        person.says(".notice", "Saved.")
        axe(person)
        eventually(lambda: all("Club Nord</title>" in system.get("/").text for _ in range(6)))
        person.wait(lambda p: mark_colour(p) == "rgb(179, 38, 30)")  # another process may answer now
        assert person.complaints() == []
    finally:
        Look.objects.all().delete()
        eventually(lambda: all("Ticket Overlord</title>" in system.get("/").text for _ in range(6)))
