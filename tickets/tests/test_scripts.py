"""The scripts of the widget and of the list of events, in Node."""

from pathlib import Path
from typing import Any

import pytest

from tests import scripts

pytestmark = pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")

# The page of another site, with a clock and timers of our own: `until(time)` moves them. `polls` has the times at
# which the event was fetched, `answer()` answers the last request, and `socket` is the newest socket.
PAGE = """
let clock = 0, timers = new Map(), made = 0, socket, answer;
const polls = [];
const event = {
  name: "Gig", venue: "", date: "2026-01-01T20:00:00Z", time_zone: "UTC", sale: "open",
  tickets: [{ sale: "open", available: 5, held: 0, opens_at: null }],
};
const element = () => ({
  dataset: {}, append() {}, after() {}, remove() {}, setAttribute() {}, attachShadow: () => ({ append() {} }),
});
performance.now = () => clock;
Math.random = () => 0.5;
globalThis.setInterval = () => {};
globalThis.setTimeout = (act, wait) => { timers.set(++made, { id: made, act, at: clock + wait }); return made; };
globalThis.clearTimeout = (id) => timers.delete(id);
globalThis.CSSStyleSheet = class { replaceSync() {} };
globalThis.WebSocket = class { constructor() { socket = this; } close() {} send() {} };
globalThis.location = { href: "https://club.example.org/" };
globalThis.window = new EventTarget();
const src = `${import.meta.resolve("tickets/widget.js")}?event=12`;
const script = { ...element(), src, closest: () => ({ lang: "en" }) };
const page = { visibilityState: "visible", createElement: element, querySelectorAll: () => [script] };
globalThis.document = Object.assign(new EventTarget(), page);
globalThis.fetch = () => {
  polls.push(clock);
  return new Promise((give) => { answer = () => settled(give({ ok: true, json: async () => event })); });
};
async function settled() {
  for (let turn = 0; turn < 20; turn++) await null;
}
async function until(time) {
  for (;;) {
    const [due] = [...timers.values()].filter(({ at }) => at <= time).sort((one, other) => one.at - other.at);
    if (due === undefined) break;
    timers.delete(due.id);
    clock = due.at;
    due.act();
    await settled();
  }
  clock = time;
}
const goLive = (version) => socket.onmessage({ data: JSON.stringify({ type: "snapshot", version, data: event }) });
const goAway = () => socket.onclose({ code: 1006 });
await import(src);
await settled();
"""


def test_the_widget_polls_whenever_it_has_no_socket(tmp_path: Path) -> None:
    script = """
      await until(2_000);
      goLive(1); // during the first poll
      await answer();
      await until(20_000);
      goAway();
      await until(22_000);
      await answer();
      await until(37_000);
      goLive(2); goAway(); // both during a poll, which goes on alone
      await answer();
      await until(52_000);
      await answer();
      await until(67_000);
      done(polls);
    """
    assert run(tmp_path, script) == [2_000, 22_000, 37_000, 52_000, 67_000]


def test_the_widget_counts_only_types_on_sale_now(tmp_path: Path) -> None:
    script = """
      const { labelOf, wordsOf } = await import("tickets/widget.js");
      const early = { sale: "ended", available: 20, held: 1, opens_at: "2025-01-01T10:00:00Z" };
      const later = { sale: "upcoming", available: 30, held: 0, opens_at: "2027-01-01T10:00:00Z" };
      const said = (sale, ...others) =>
        labelOf({ sale, tickets: [early, later, ...others], time_zone: "UTC" }, wordsOf("en")).text;
      const open = { sale: "open", opens_at: null };
      done([
        said("open", { ...open, available: 5, held: 0 }),
        said("open", { ...open, available: 0, held: 2 }),
        said("open", { ...open, available: 0, held: 0 }),
        said("upcoming").includes("2027"),
      ]);
    """
    assert run(tmp_path, script) == ["Only 5 left", "All reserved", "Sold out", True]


# The list of events in a page, with a clock of our own: `until(time)` moves it and runs the timers.
LIST = """
let clock = 0, LiveEvents, tick, socket;
const fetches = [];
performance.now = () => clock;
Math.random = () => 0;
globalThis.setTimeout = () => 0; // of the socket
globalThis.setInterval = (act, every) => { if (every < 60_000) tick = act; };
globalThis.clearInterval = () => { tick = () => {}; };
globalThis.fetch = async (address) => { fetches.push([clock, address]); return { ok: false }; };
globalThis.location = { pathname: "/", search: "?q=gig" };
const badge = { show() {} };
globalThis.document = { visibilityState: "visible", querySelector: () => badge, documentElement: { dataset: {} } };
globalThis.HTMLElement = class {
  querySelectorAll = () => [];
  querySelector = () => null;
  hasAttribute = () => true;
};
globalThis.customElements = { define: (name, type) => { LiveEvents = type; } };
async function until(time) {
  while (clock < time) {
    clock += 30_000;
    tick();
    for (let turn = 0; turn < 20; turn++) await null;
  }
}
"""


def test_a_list_without_new_frames_is_fetched_every_five_minutes_while_the_page_is_visible(
    tmp_path: Path,
) -> None:
    script = """
      await import("tickets/live-events.js");
      const list = new LiveEvents();
      globalThis.WebSocket = class { constructor() { socket = this; } close() {} send() {} };
      globalThis.location.href = "https://shop.example.org/";
      globalThis.window = new EventTarget();
      Object.assign(document, { addEventListener() {}, removeEventListener() {} });
      list.connectedCallback();
      list.show([]);
      globalThis.setTimeout = (act) => act(); // the spread of the requests
      await until(600_000);
      document.visibilityState = "hidden";
      await until(1_200_000);
      document.visibilityState = "visible";
      await until(1_230_000);
      list.disconnectedCallback();
      await until(2_000_000);
      done(fetches);
    """
    assert scripts.run(tmp_path, LIST + script) == [
        [300_000, "/?q=gig"],
        [600_000, "/?q=gig"],
        [1_230_000, "/?q=gig"],
    ]


def test_a_filtered_list_takes_back_an_event_that_an_older_frame_did_not_have(tmp_path: Path) -> None:
    script = """
      await import("tickets/live-events.js");
      const list = new LiveEvents(), rows = new Map();
      const month = { querySelector: () => rows.values().next().value ?? null, remove() {} };
      for (const event of ["1", "2"]) {
        const label = { dataset: {}, textContent: "", classList: { add() {}, remove() {} } };
        const fields = { querySelector: () => label, closest: () => month };
        rows.set(event, { ...fields, dataset: { event, date: "2027-01-01" }, remove: () => rows.delete(event) });
      }
      list.querySelectorAll = () => [...rows.values()];
      list.hasAttribute = (name) => name === "filtered";
      globalThis.setTimeout = (act) => act(); // the spread of the requests
      const facts = { name: "Gig", date: "2027-01-01", sale: "open", available: 500 };
      const frame = (...ids) => ids.map((id) => ({ id, ...facts }));
      const seen = [];
      for (const events of [frame(1, 3), frame(1, 3), frame(1, 2, 3)]) {
        list.show(events);
        for (let turn = 0; turn < 20; turn++) await null;
        seen.push([[...rows.keys()].join(), fetches.length]);
      }
      done(seen);
    """
    assert scripts.run(tmp_path, LIST + script) == [["1", 0], ["1", 0], ["1", 1]]


# The page of an event, as far as a refused reservation needs it. `refused` is the message, `focused` has the focus.
EVENT_PAGE = """
let focused;
const part = (id) => ({ id, dataset: {}, focus() { focused = this; }, contains: (other) => other?.id === id });
const heading = part("tickets"), said = part("announcements");
let element, refused, shown;
globalThis.HTMLElement = class {
  querySelector = (css) => (css === "#tickets" ? heading : refused);
};
globalThis.customElements = { define: (_name, type) => { element ??= type; } };
globalThis.document = Object.assign(new EventTarget(), {
  createElement: () => part("notice"), getElementById: () => said, documentElement: { lang: "en", dataset: {} },
});
Object.defineProperty(document, "activeElement", { get: () => focused });
globalThis.window = new EventTarget();
globalThis.addEventListener = () => {};
globalThis.location = { href: "https://tickets.example.org/events/1/", pathname: "/events/1/" };
globalThis.setTimeout = (act) => act();
await import("tickets/live-event.js");
const page = new element();
function refuse() {
  const facts = { refusedType: "1", refusedAmount: "2", refusedAvailable: "", refusedSale: "open" };
  shown = "alert"; said.textContent = "";
  refused = {
    ...part("error"), dataset: { ...facts, refusedAvailable: "0" },
    replaceWith: (notice) => { shown = notice.id; }, remove: () => { shown = "nothing"; },
  };
}
const frame = (available, sale = "open") => { page.event = { tickets: [{ id: 1, sale, available }] }; };
"""


def test_a_refusal_that_is_no_longer_true_leaves_the_focus_in_its_place(tmp_path: Path) -> None:
    script = """
      const found = [];
      for (const [available, sale] of [[0, "open"], [5, "open"], [0, "ended"]]) {
        for (const focus of ["error", "elsewhere"]) {
          refuse(); frame(available, sale); focused = part(focus);
          page.checkRefusal();
          found.push([shown, focused.id, said.textContent !== ""]);
        }
      }
      done(found);
    """
    assert scripts.run(tmp_path, EVENT_PAGE + script) == [
        ["alert", "error", False],
        ["alert", "elsewhere", False],
        ["notice", "notice", False],
        ["notice", "elsewhere", True],
        ["nothing", "tickets", False],
        ["nothing", "elsewhere", False],
    ]


def test_a_code_that_expires_gives_its_prices_no_longer_and_the_page_says_so(tmp_path: Path) -> None:
    script = """
      const words = { textContent: "Code SPRING: 10% off." };
      const removed = [], gone = (what) => ({ remove: () => removed.push(what) });
      const row = (type, facts) => ({
        dataset: { type, ...facts }, querySelector: () => gone(`price of ${type}`), ...gone(`row ${type}`),
      });
      const rows = [row("1", { price: "13.50", fullPrice: "15.00", early: "" }), row("2", { hidden: "" })];
      const facts = { "code-until": new Date(Date.now() + 5_000).toISOString() };
      Object.assign(page, {
        rows: () => rows, querySelector: () => words, order: { querySelector: () => gone("field") }, edits: 3,
        getAttribute: (name) => facts[name] ?? null, removeAttribute: (name) => { delete facts[name]; },
        frame: { tickets: [] }, show: () => removed.push("shown"),
      });
      page.countDown();
      const before = [removed.length, words.textContent];
      const { now } = Date;
      Date.now = () => now() + 6_000;
      page.countDown();
      page.countDown();
      page.row = (id) => rows[id - 1];
      const ticket = page.asWithCode({ id: 1, sale: "upcoming", price: "15.00" });
      done([before, words.textContent, removed, ticket, page.edits]);
    """
    before, words, removed, ticket, edits = scripts.run(tmp_path, EVENT_PAGE + script)
    assert before == [0, "Code SPRING: 10% off."]
    assert words == "The code has expired. Tickets have their usual prices again."
    assert removed == ["price of 1", "row 2", "price of 2", "field", "shown"]
    assert (ticket["price"], ticket["sale"], edits) == ("15.00", "upcoming", None)


def run(folder: Path, script: str) -> Any:
    """Run a script on a page that has the widget."""
    copy = folder / "node_modules/tickets/widget.js"
    copy.parent.mkdir(parents=True)
    copy.write_text(scripts.source("tickets/widget.js"))
    return scripts.run(folder, PAGE + script)
