"""The door in headless Chromium: from the purchase to the admission, and through a time without a network."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from django.conf import settings

from overlord.accounts.models import User
from tests import browser
from tests.browser import Browser
from tests.clients import permit
from tests.system import System, eventually
from tests.visitors import fresh, logged_in, type_on_sale, user_make
from tickets.admission.models import Scan, Ticket
from tickets.admission.permissions import Permission
from tickets.admission.tests.admitting import paid, tickets_of
from tickets.admission.tests.doors import codes_of, is_admitted_once, scan
from tickets.models import Reservation, TicketType

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not browser.AT_HAND, reason="no Chromium with its driver is at hand"),
]

WIDTH, HEIGHT = 640, 480
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(settings.BASE_DIR) / "tickets/admission/tests/codes.json").read_text()
)
# Returns what the page's module reads from each code, and whether the signature is valid.
READ = """
  const [vectors, done] = arguments;
  import("admission/codes.js").then(async ({ codeRead, isSigned }) => {
    const read = [];
    for (const { code, public_key: key } of vectors) {
      const said = codeRead(code);
      read.push(said && [said.key, said.event, said.ticket, said.issue, await isSigned(said.bytes, key)]);
    }
    done(read);
  }, (error) => done(String(error)));
"""

# Returns the answers of a door without a network to both serials of a ticket that was handed over.
HANDED_OVER = """
  const done = arguments[0];
  import("admission/door-list.js").then(async ({ DoorList }) => {
    const list = new DoorList(7);
    const news = (serial, issue, complete) => list.take({
      version: 1, complete, keys: [], ticket_types: [], tickets: [[1, serial, 3, issue, "valid", null, ""]],
    });
    news("BEFORE", 1, true);
    news("AFTER", 2, false);
    const answers = [await list.decide({ serial: "BEFORE" }), await list.decide({ serial: "AFTER" })];
    done(answers.map(({ result }) => result));
  }, (error) => done(String(error)));
"""

# Keeps the lists of several events, and returns what was kept: the list of an event that is in use stays, and
# changes are kept of a kept list only.
LISTS = """
  const done = arguments[0];
  import("admission/door-store.js").then(async ({ open }) => {
    const store = await open(), { now } = Date, found = [];
    const news = (complete, id) => ({
      version: id, complete, keys: [], ticket_types: [], tickets: [[id, "T", 3, 1, "valid", null, ""]],
    });
    const count = async (event) => (await store.list(event))?.tickets.length ?? null;
    found.push(await store.keepList(101, news(true, 1)), await store.keepList(102, news(true, 2)));
    found.push(await store.keepList(101, news(false, 3)), await count(101), await count(102));
    Date.now = () => now() + 3 * 86_400_000;
    await store.keepList(102, news(true, 4));
    Date.now = now;
    found.push(await count(101), await count(102), await store.keepList(101, news(false, 5)), await count(101));
    done(found);
  }, (error) => done(String(error)));
"""


# Makes the storage refuse each write, as a full or forbidden one does.
FORBID_STORAGE = """
  const fail = () => { throw new DOMException("full", "QuotaExceededError"); };
  Storage.prototype.getItem = Storage.prototype.setItem = fail;
"""
# Switches on the light of a camera that has one, and returns the state of its button.
LIGHT = """
  const page = document.querySelector("door-page");
  page.camera.track.getCapabilities = () => ({ torch: true });
  page.camera.track.applyConstraints = async () => {};
  return page.setTorch(true).then(() => page.querySelector("[data-do=torch]").getAttribute("aria-pressed"));
"""


def camera_film(code: str, file: Path) -> None:
    """Write the film of a camera in front of a code, in the format of Chromium's fake camera (YUV4MPEG2)."""
    image = memoryview(zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode).to_image(scale=7))
    assert image.shape is not None
    high, wide = image.shape
    grey, code_rows = bytearray(b"\xff" * WIDTH * HEIGHT), image.tobytes()
    top, left = (HEIGHT - high) // 2, (WIDTH - wide) // 2
    for row in range(high):
        at = (top + row) * WIDTH + left
        grey[at : at + wide] = code_rows[row * wide : (row + 1) * wide]
    colour = b"\x80" * (WIDTH * HEIGHT // 2)
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F5:1 Ip A0:0 C420jpeg\n".encode()
    file.write_bytes(head + (b"FRAME\n" + bytes(grey) + colour) * 5)


@pytest.fixture
def steward(system: System) -> User:
    return permit(user_make(), Permission.USE_DOOR, Permission.UNDO_ADMISSION)


@pytest.fixture
def people(system: System) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def at_gate(person: Browser, steward: User, ticket_type: TicketType) -> Browser:
    """Open the door page of an event at the gate North, and wait until the page works without a network."""
    logged_in(person, steward).go("/door/")
    person.run(
        "document.querySelector('#event').value = arguments[0]; document.querySelector('#gate').value = 'North'",
        str(ticket_type.event_id),
    )
    person.press("main form button[type=submit]")
    ready(person)
    person.wait(lambda p: p.all("door-page[data-kept=yes]"))
    return person


def ready(person: Browser) -> None:
    person.wait(lambda p: p.all("door-page[data-ready=yes]"))


def show(person: Browser, text: str, answer: str) -> None:
    """Type a text as a scanner does, and wait for the answer."""
    person.write("#shown", f"{text}\n")
    person.says(".answer h2", answer)


def test_a_gate_keeps_the_texts_of_its_language_and_the_lists_of_events(
    system: System, people: ExitStack, steward: User
) -> None:
    door = fresh(people.enter_context(browser.borrowed()), system)
    door.driver.add_cookie({"name": settings.LANGUAGE_COOKIE_NAME, "value": "de"})
    at_gate(door, steward, type_on_sale())
    kept = (
        "const done = arguments[0]; caches.match('/translations/de.js').then((each) => done(Boolean(each)))"
    )
    assert door.driver.execute_async_script(kept), "the page writes its texts without a network too"
    assert door.driver.execute_async_script(LISTS) == [True, True, True, 2, 1, None, 1, False, None]


def test_from_the_purchase_to_the_admission(
    system: System, people: ExitStack, steward: User, tmp_path: Path
) -> None:
    buyer, ticket_type = people.enter_context(browser.borrowed()), type_on_sale()
    fresh(buyer, system).go(f"/events/{ticket_type.event_id}/")
    buyer.press(".basket button[type=submit]")
    buyer.write("#email", f"ada-{ticket_type.pk}@example.org")
    buyer.write("#name", "Ada Lovelace")
    buyer.press("form.pay button")
    buyer.says("h1", "Your tickets are confirmed")
    reservation = Reservation.objects.get(ticket_type=ticket_type, state="validated")
    [ticket] = tickets_of(reservation)
    camera_film(codes_of(reservation)[0], tmp_path / "camera.y4m")

    # The camera sees the code. Chromium on Linux cannot read codes itself, so the server reads the picture.
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    film = f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"
    door = fresh(people.enter_context(browser.opened(*camera, film)), system)
    at_gate(door, steward, ticket_type)
    door.press("[data-do=camera]")
    door.says(".answer h2", "Admitted")
    door.says(".answer .who", "Ada Lovelace")
    door.says("[data-field=admitted]", "1")  # live
    assert is_admitted_once(ticket)
    door.press("[data-do=camera]")

    # The same ticket again, by a scanner that types; then the admission is undone.
    show(door, ticket.serial, "Already admitted")
    door.says("[data-field=first]", "at gate North")
    undo = Scan.objects.get(ticket=ticket, result="admitted")
    door.go(f"{door.path}&q=lovelace")
    ready(door)
    door.press(".found form[data-undo] button")
    door.says(".answer h2", "Admission undone")
    undo.refresh_from_db()
    assert undo.undone_by == steward
    show(door, ticket.serial, "Admitted")

    # The camera goes on reading in a browser that keeps nothing, and its light goes on.
    door.run(FORBID_STORAGE)
    door.press("[data-do=camera]")
    door.says(".answer h2", "Already admitted")
    assert not door.run("return document.querySelector('.camera .error').checkVisibility()")
    assert door.run(LIGHT) == "true"
    assert door.complaints() == []


def test_without_a_network_the_door_goes_on_and_settles_afterwards(
    system: System, people: ExitStack, steward: User
) -> None:
    ticket_type = type_on_sale()
    reservation = paid(user_make(), ticket_type, 4)
    spent, doubled, fine, _ = codes_of(reservation)
    door = fresh(people.enter_context(browser.borrowed()), system)
    at_gate(door, steward, ticket_type)
    read = [[*map(float, each["content"].values()), True] for each in VECTORS]  # JavaScript's numbers
    assert door.driver.execute_async_script(READ, VECTORS) == read
    assert door.driver.execute_async_script(HANDED_OVER) == ["unknown", "unchecked"]
    show(door, spent, "Admitted")
    door.says("[data-field=admitted]", "1")
    door.wait(lambda p: p.run("return document.querySelector('door-page').desk.list.tickets.size") == 4)
    eventually(lambda: door.run(KNOWN_ADMITTED))
    assert door.complaints() == []

    door.cut_network(off=True)
    for code in (doubled, fine):
        show(door, code, "Let in without a check")
    show(door, fine, "Already admitted")
    show(door, spent, "Already admitted")
    show(door, fine[:60] + spent[60:], "Not a ticket")  # forged
    assert Ticket.objects.filter(reservation=reservation, state="admitted").count() == 1
    door.write("#q", "lovelace\n")
    door.says(".unsearched", "The search needs a network")
    door.go(f"{door.path}&q=lovelace")  # as a search that began before the page knew that the network is away
    ready(door)
    door.says(".unsearched", "The search needs a network")
    door.says(".network", "2 scans are waiting")
    door.go(door.path.removesuffix("&q=lovelace"))
    ready(door)
    assert not door.one("door-page").find_element("css selector", ".unsearched").is_displayed(), "control"
    door.says(".network", "2 scans are waiting")
    show(door, doubled, "Already admitted")

    # Another gate admits one of them. When the network is back, each counts once, and the conflict is shown.
    scan(doubled, actor_id=steward.pk, gate="South", event_id=ticket_type.event_id)
    door.cut_network(off=False)
    door.says(".conflicts", "at gate South")
    eventually(lambda: Scan.objects.filter(unchecked=True, ticket__reservation=reservation).count() == 2)
    door.says("[data-field=conflicts]", "1")
    door.wait(lambda p: not p.one("door-page").find_element("css selector", ".network").is_displayed())
    assert all(is_admitted_once(ticket) for ticket in tickets_of(reservation)[:3])


def test_of_two_pages_in_one_browser_only_the_one_that_is_seen_works(
    system: System, people: ExitStack, steward: User
) -> None:
    ticket_type = type_on_sale()
    one, two = codes_of(reservation := paid(user_make(), ticket_type, 2))
    door = fresh(people.enter_context(browser.opened()), system)
    at_gate(door, steward, ticket_type)
    driver = door.driver
    north = driver.current_window_handle

    def see(window: str) -> None:
        driver.switch_to.window(window)  # the driver also shows it
        door.wait(lambda p: not p.all(".resting:not([hidden])"))

    door.run(COUNT_RESTS)
    driver.switch_to.new_window("tab")
    south = driver.current_window_handle
    door.go(f"/door/?event={ticket_type.event_id}&gate=South")
    ready(door)
    see(north)
    assert door.run("return rests") == ["The door is open on another page"]
    for window in (north, south):
        driver.switch_to.window(window)
        door.cut_network(off=True)

    see(south)
    for code in (one, two):
        show(door, code, "Let in without a check")
    see(north)
    door.says(".network", "2 scans are waiting")
    show(door, one, "Already admitted")
    see(south)
    show(door, two, "Already admitted")
    see(north)
    show(door, two, "Already admitted")
    door.says(".answer [data-field=first]", "at gate South")
    for window in (south, north):
        driver.switch_to.window(window)
        door.cut_network(off=False)
    see(north)
    eventually(lambda: Scan.objects.filter(unchecked=True, ticket__reservation=reservation).count() == 2)
    assert all(is_admitted_once(ticket) for ticket in tickets_of(reservation))
    scans = Scan.objects.filter(ticket__reservation=reservation)
    assert [each.gate for each in scans] == ["South", "South"]


# Keeps the beginning of what the page says each time when it rests.
COUNT_RESTS = """
  const page = document.querySelector("door-page"), { onePage } = page, { onRest } = onePage;
  window.rests = [];
  onePage.onRest = () => {
    onRest();
    window.rests.push(page.querySelector(".resting:not([hidden])").textContent.slice(0, 32));
  };
"""

# Whether the page knows about the admitted ticket.
KNOWN_ADMITTED = """
  const { tickets } = document.querySelector("door-page").desk.list;
  return [...tickets.values()].some((row) => row[4] === "admitted");
"""
