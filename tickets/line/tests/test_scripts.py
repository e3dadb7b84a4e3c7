"""What the page of a line asks of the server, and when, in Node."""

from pathlib import Path
from typing import Any

import pytest

from tests import scripts

pytestmark = pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")

# The page of a line, with a clock and timers of our own: `until(time)` lets the time come. `open(attributes)` opens
# the page, `hear(path, data)` is a frame, and `lose(path)` the end of a socket. The server's page has the
# attributes `present`; `fetches` has when it was fetched.
PAGE = """
let clock = 0, timers = new Map(), made = 0, version = 0, LiveLine, present, answers = true, line;
const fetches = [], gone = [], sockets = new Map(), status = [], ME = "/ws/me/", LINE = "/ws/line/12/";
performance.now = () => clock;
Math.random = () => 0.5;
const later = (act, wait, every) => {
  timers.set(++made, { id: made, act, at: clock + wait, every });
  return made;
};
const forget = (id) => timers.delete(id);
Object.assign(globalThis, {
  setTimeout: (act, wait) => later(act, wait), clearTimeout: forget,
  setInterval: (act, every) => later(act, every, every), clearInterval: forget,
});
const part = () => ({
  textContent: "", dataset: {}, hidden: false, content: "", setAttribute() {}, removeAttribute() {},
  replaceWith() {}, replaceChildren: (...given) => status.push(given.map(({ textContent }) => textContent)),
  show(state) { this.dataset.status = state; }, showFresh() {}, forget() {},
});
const having = (attributes) => {
  const parts = new Map();
  return {
    isConnected: true,
    hasAttribute: (name) => attributes[name] !== undefined, getAttribute: (name) => attributes[name] ?? null,
    querySelector: (css) => parts.get(css) ?? parts.set(css, part()).get(css), querySelectorAll: () => [],
    cloneNode() { return this; },
  };
};
Object.assign(globalThis, {
  HTMLElement: class {},
  customElements: { define: (name, type) => { if (name === "live-line") LiveLine = type; } },
  location: { href: "https://shop.example.org/events/12/line/", pathname: "/events/12/line/", search: "" },
  document: Object.assign(new EventTarget(), {
    hidden: false, title: "Line", documentElement: { dataset: {} }, createElement: part,
    querySelector: () => null, querySelectorAll: () => [], getElementById: part,
  }),
  window: new EventTarget(), addEventListener() {},
  WebSocket: class {
    constructor(url) { this.path = new URL(url).pathname; sockets.set(this.path, this); }
    close() {} send() {}
  },
  DOMParser: class {
    parseFromString = () => ({
      title: "Line",
      cloneNode() { return this; },
      querySelector: () => (present === null ? null : having(present)),
    });
  },
  fetch: async () => {
    fetches.push(clock);
    return { ok: answers, headers: new Headers(), text: async () => "" };
  },
});
location.replace = (address) => gone.push(address);
await import("line/live-line.js");
async function settled() {
  for (let turn = 0; turn < 50; turn++) await null;
}
async function until(time) {
  for (;;) {
    await settled();
    const [due] = [...timers.values()].filter(({ at }) => at <= time).sort((one, other) => one.at - other.at);
    if (due === undefined) break;
    if (due.every === undefined) timers.delete(due.id);
    else due.at += due.every;
    clock = due.at - (due.every ?? 0);
    due.act();
  }
  clock = time;
}
function open(attributes) {
  present = { event: "12", phase: "serving", served: "0", reservations: "", ...attributes };
  const page = Object.assign(new LiveLine(), having(present));
  page.connectedCallback();
  return page;
}
async function hear(path, data) {
  const frame = { type: "update", version: ++version, server_time: new Date().toISOString(), data };
  sockets.get(path).onmessage({ data: JSON.stringify(frame) });
  await settled();
}
const served = (count, others) => hear(LINE, {
  phase: "serving", entries: 10_000, served: count, per_minute: 0, message: "", seed: "", closes_at: null,
  most_per_minute: null, ...others,
});
const own = (...reservations) => hear(ME, { reservations });
const held = (id, others) => ({ id, event: 12, state: "held", ...others });
const lose = async (path, code = 1006) => { sockets.get(path).onclose({ code }); await settled(); };
const waiting = { number: "7", state: "waiting", place: "5" };
const live = async () => {
  const beat = JSON.stringify({ type: "heartbeat", version: 0, data: { live: true } });
  for (const path of [LINE, ME]) sockets.get(path)?.onmessage?.({ data: beat });
  await settled();
};
// Let time come while both sockets are heard.
async function liveUntil(time) {
  while (clock < time) {
    await live();
    await until(Math.min(time, clock + 15_000));
  }
}
"""


def run(folder: Path, script: str) -> Any:
    return scripts.run(folder, PAGE + script)


def test_pages_that_got_nothing_ask_once_over_a_time_that_grows_with_the_line(tmp_path: Path) -> None:
    """All pages get the frame at once. It says all but that own tickets had the place passed by."""
    script = """
      open(waiting);
      await own();
      await served(4);
      await served(500);
      await liveUntil(40_000);
      const early = [...fetches];
      await served(1_000);
      present = { ...present, served: "1000" };
      await liveUntil(100_000);
      await served(1_500);
      await liveUntil(300_000);
      done([early, fetches]);
    """
    assert run(tmp_path, script) == [[], [50_000]]


def test_a_page_whose_owner_has_tickets_asks_soon(tmp_path: Path) -> None:
    script = """
      open({ ...waiting, reservations: "3" });
      await own(held(3));
      await served(500);
      await liveUntil(10_000);
      done(fetches);
    """
    assert run(tmp_path, script) == [1_500]


@pytest.mark.parametrize("first", ["line", "own"])
def test_a_page_that_slept_through_its_turn_asks_soon(first: str, tmp_path: Path) -> None:
    """Nobody looked at the hold, so it was released, and the entry was passed by."""
    script = f"""
      open(waiting);
      const frames = [() => served(500), () => own(held(3, {{ state: "released" }}))];
      for (const frame of "{first}" === "line" ? frames : frames.reverse()) await frame();
      present = {{ ...present, state: "passed", served: "500" }};
      await liveUntil(300_000);
      done(fetches);
    """
    assert run(tmp_path, script) == [1_500]


def test_a_page_that_was_made_after_its_turn_asks_nothing(tmp_path: Path) -> None:
    script = """
      open({ ...waiting, served: "500" });
      await own();
      await served(1_000);
      await liveUntil(300_000);
      done(fetches);
    """
    assert run(tmp_path, script) == []


def test_given_tickets_are_shown_at_once_although_the_page_was_to_ask_later(tmp_path: Path) -> None:
    script = """
      open(waiting);
      await own();
      await served(500);
      await liveUntil(10_000);
      present = { ...present, state: "given", reservations: "3" };
      await own(held(3));
      await liveUntil(300_000);
      done(fetches);
    """
    assert run(tmp_path, script) == [10_000]


def test_a_change_of_phase_asks_nothing_of_the_server(tmp_path: Path) -> None:
    script = """
      open({ phase: "closed" });
      for (const phase of ["closed", "lobby", "serving", "open", "serving", "open"]) await served(0, { phase });
      await served(0, { cancelled: true });
      await liveUntil(300_000);
      done(fetches);
    """
    assert run(tmp_path, script) == []


def test_a_browser_that_cannot_compute_its_place_asks_once(tmp_path: Path) -> None:
    script = """
      Object.defineProperty(globalThis, "crypto", { value: {} });
      open({ ...waiting, place: undefined });
      await own();
      for (let nth = 0; nth < 50; nth++) await served(nth);
      present = { ...present, place: "5", served: "50" };
      await liveUntil(300_000);
      done(fetches);
    """
    assert run(tmp_path, script) == [50_000]


@pytest.mark.parametrize("lost", ["LINE", "ME"])
def test_a_page_without_one_of_its_streams_asks_regularly(lost: str, tmp_path: Path) -> None:
    script = f"""
      open(waiting);
      for (const path of [LINE, ME].filter((path) => path !== {lost})) {{
        await (path === LINE ? served(0) : own());
      }}
      await liveUntil(61_000);
      const found = [...fetches];
      document.hidden = true;
      await liveUntil(105_000);
      document.hidden = false;
      window.dispatchEvent(new Event("online"));
      await served(0);
      await own();
      await liveUntil(200_000);
      done([found, fetches.length]);
    """
    assert run(tmp_path, script) == [[20_000, 40_000, 60_000], 3]


def test_a_page_that_has_no_stream_shows_the_turn(tmp_path: Path) -> None:
    script = """
      const page = open(waiting);
      await until(30_000);
      const before = page.state;
      present = { ...present, state: "given", reservations: "3" };
      await until(41_000);
      done([before, page.state]);
    """
    assert run(tmp_path, script) == ["waiting", "given"]


def test_a_page_that_the_server_refuses_waits_longer_each_time(tmp_path: Path) -> None:
    script = """
      answers = false;
      open(waiting);
      await until(400_000);
      done(fetches.map((at, nth) => at - (fetches[nth - 1] ?? 0)));
    """
    pauses = run(tmp_path, script)
    assert pauses[:6] == [20_000, 3_750, 7_500, 15_000, 30_000, 60_000]
    assert set(pauses[6:]) == {75_000}


def test_an_address_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    script = """
      open(waiting);
      present = null;
      await until(25_000);
      done(gone);
    """
    assert run(tmp_path, script) == ["/events/12/line/"]


@pytest.mark.parametrize("entry", ["waiting", "{}"])
def test_a_line_that_staff_gave_up_leads_elsewhere_over_a_time_that_grows_with_it(
    entry: str, tmp_path: Path
) -> None:
    script = f"""
      open({entry});
      if (sockets.has(ME)) await own();
      await served(0);
      present = null;
      await served(0, {{ phase: "closed", entries: 0 }});
      await liveUntil(49_000);
      const early = [...gone];
      await liveUntil(51_000);
      done([early, gone]);
    """
    assert run(tmp_path, script) == [[], ["/events/12/line/"]]


def test_a_line_that_is_not_there_says_so_and_asks_nothing_more(tmp_path: Path) -> None:
    script = """
      open(waiting);
      await own();
      await served(0);
      await lose(LINE, 4404);
      await until(300_000);
      done([status, fetches]);
    """
    assert run(tmp_path, script) == [[["This event is no longer available.", ""]], []]


def test_a_page_whose_log_in_has_ended_and_comes_back_follows_the_own_stream_again(tmp_path: Path) -> None:
    script = """
      const page = open(waiting);
      await served(0);
      await lose(ME, 4401);
      present = { ...present, number: undefined, state: undefined, place: undefined };
      await liveUntil(25_000);
      const without = [page.state, page.own, fetches.length];
      await liveUntil(100_000);
      const asked = fetches.length;
      present = { ...present, ...waiting };
      page.renew(0);
      await liveUntil(101_000);
      present = { ...present, state: "given", reservations: "3" };
      await own(held(3));
      await liveUntil(102_000);
      done([without, asked, page.state]);
    """
    assert run(tmp_path, script) == [[None, None, 1], 1, "given"]


@pytest.mark.parametrize(("stream", "state"), [("me.2", None), ("me.1", "waiting")])
def test_a_page_shows_no_place_of_the_user_before_when_another_user_has_logged_in(
    stream: str, state: str | None, tmp_path: Path
) -> None:
    script = f"""
      const page = open(waiting);
      await served(0);
      const mine = async (stream) => {{
        const data = {{ reservations: [] }}, server_time = new Date().toISOString();
        const frame = {{ type: "snapshot", stream, version: ++version, server_time, data }};
        sockets.get(ME).onmessage({{ data: JSON.stringify(frame) }});
        await settled();
      }};
      await mine("me.1");
      await lose(ME, 4401);
      present = {{ ...present, number: undefined, state: undefined, place: undefined }};
      await until(1_000); // connects by the session that the browser has now
      await mine("{stream}");
      await until(2_000);
      done(page.state);
    """
    assert run(tmp_path, script) == state


def test_own_tickets_from_outside_the_line_change_the_title_only_until_the_page_is_fetched(
    tmp_path: Path,
) -> None:
    """A hidden tab tells the turn by its title, before the page is fetched, which alone knows whether it is one."""
    script = """
      open(waiting);
      await own();
      document.hidden = true;
      present = { ...present, reservations: "3" };
      await own(held(3));
      const hidden = document.title;
      document.hidden = false;
      document.dispatchEvent(new Event("visibilitychange"));
      await liveUntil(5_000);
      done([hidden, document.title]);
    """
    assert run(tmp_path, script) == ["It is your turn · Line", "Line"]


def test_a_person_who_waits_at_the_end_of_the_sale_can_still_leave(tmp_path: Path) -> None:
    script = """
      const page = open(waiting);
      const forms = ["change", "leave"].map((part) => ({ dataset: { part }, hidden: false }));
      page.querySelectorAll = (css) => (css === "form[data-part]" ? forms : []);
      const hidden = () => forms.map((form) => form.hidden);
      await own();
      await served(0, { cancelled: true });
      const ended = hidden();
      await lose(LINE, 4404);
      done([ended, hidden()]);
    """
    assert run(tmp_path, script) == [[True, False], [True, True]]


def test_a_page_with_tickets_of_an_event_that_is_cancelled_asks_for_what_it_shows_now(tmp_path: Path) -> None:
    script = """
      open({ ...waiting, state: "given", reservations: "3" });
      await own(held(3));
      await served(500);
      await liveUntil(10_000);
      const before = fetches.length;
      await served(500, { cancelled: true });
      present = { ...present, state: "ended", ended: "" };
      await liveUntil(300_000);
      done([before, fetches.length]);
    """
    assert run(tmp_path, script) == [0, 1]


def test_a_form_that_stays_is_about_the_entry_that_the_page_shows_now(tmp_path: Path) -> None:
    """While this tab was hidden, the turn passed, and its owner entered again on another device."""
    script = """
      const page = open(waiting);
      const field = (name, value) => ({ name, value });
      const elements = { entry: field("entry", "7"), amount_1: field("amount_1", "typed") };
      const button = { textContent: "" };
      const form = { dataset: { part: "change" }, hidden: false, elements, querySelector: () => button };
      const fresh = {
        hidden: false, querySelector: () => ({ textContent: "Save" }),
        querySelectorAll: () => [field("csrfmiddlewaretoken", "new"), field("entry", "9")],
      };
      page.querySelectorAll = () => [form];
      page.takeForms({ querySelector: () => fresh, querySelectorAll: () => [] });
      done([elements.entry.value, elements.amount_1.value, button.textContent]);
    """
    assert run(tmp_path, script) == ["9", "typed", "Save"]
