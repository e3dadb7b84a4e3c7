"""The scripts of all pages, in Node."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests import scripts

pytestmark = pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")

# A clock and timers of our own: `until(time)` moves them, and `fetches` has the times at which the page was
# fetched.
CLOCK = """
const { freshPage, pauseLeft } = await import("shop/fresh-page.js");
let clock = 0, timers = [];
const fetches = [];
performance.now = () => clock;
globalThis.setTimeout = (act, wait) => timers.push({ act, at: clock + wait });
globalThis.location = { pathname: "/events/1/", search: "" };
globalThis.DOMParser = class { parseFromString = () => ({ cloneNode: () => ({}) }); };
let answer = { ok: true, text: async () => "" };
globalThis.fetch = async () => { fetches.push(clock); return answer; };
async function until(time) {
  for (const due of timers.filter(({ at }) => at <= time).sort((one, other) => one.at - other.at)) {
    clock = due.at;
    due.act();
    for (let turn = 0; turn < 20; turn++) await null;
  }
  timers = timers.filter(({ at }) => at > time);
  clock = time;
}
"""


def test_a_fetched_page_is_never_older_than_the_frame_that_asks_for_it(tmp_path: Path) -> None:
    script = """
      Math.random = () => 0;
      freshPage({ within: 2_000, kept: 1_000 });
      await until(400);
      freshPage({ within: 2_000, kept: 1_000 }); // the first fetch may get an answer that was made at 0
      await until(3_000);
      Math.random = () => 1;
      freshPage({ within: 2_000, kept: 1_000 });
      await until(4_000);
      freshPage({ within: 2_000, kept: 1_000 }); // shares it: it begins at 6,000
      await until(6_000);
      freshPage({ within: 0 }); // that one is on its way
      freshPage({ within: 0, address: "/events/1/?code=spring" }); // of another address
      await until(9_000);
      done(fetches);
    """
    assert scripts.run(tmp_path, CLOCK + script) == [1_000, 1_400, 6_000, 6_000, 6_000]


def test_after_a_failure_all_pages_wait_longer_each_time_and_as_long_as_the_server_asks(
    tmp_path: Path,
) -> None:
    script = """
      Math.random = () => 0;
      const refused = (seconds) => ({ ok: false, headers: new Headers(seconds ? { "Retry-After": seconds } : {}) });
      const pauses = [];
      async function ask() {
        const page = freshPage({ within: 0 });
        await until(clock + pauseLeft());
        pauses.push(pauseLeft());
        return page;
      }
      answer = refused();
      for (let n = 0; n < 7; n++) await ask();
      answer = refused("300");
      const asked = await ask();
      answer = { ok: true, text: async () => "" };
      const given = await ask();
      answer = refused("1");
      await ask();
      done([pauses, asked, given !== null, fetches.length]);
    """
    assert scripts.run(tmp_path, CLOCK + script) == [
        [3_000, 6_000, 12_000, 24_000, 48_000, 60_000, 60_000, 300_000, 0, 3_000],
        None,
        True,
        10,
    ]


# A page with a badge, on a phone that sleeps: `clock` is the phone's, and `sockets` has those that the page opened.
PHONE = """
let clock = Date.parse("2026-11-27T18:00:00Z"), LiveBadge;
const sockets = [];
Date.now = () => clock;
Object.assign(globalThis, {
  HTMLElement: class { dataset = {}; textContent = ""; },
  customElements: { define: (_, type) => { LiveBadge = type; } },
  location: { href: "https://shop.example.org/events/1/" },
  document: Object.assign(new EventTarget(), {
    visibilityState: "visible", documentElement: { lang: "en", dataset: {} },
  }),
  window: new EventTarget(),
  WebSocket: class { static OPEN = 1; readyState = 1; constructor() { sockets.push(this); } close() {} send() {} },
});
await import("shop/live-badge.js");
const { follow } = await import("realtime/live.js");
const badge = new LiveBadge();
follow("/ws/events/1/", { onStatus: (status, _code, currentAt) => badge.show(status, currentAt) });
const said = () => badge.textContent.replace(/\\s/g, " ");
function hear(type, { version = 1, live = true } = {}) {
  const frame = { type, version, server_time: new Date(clock).toISOString(), data: { live } };
  sockets.at(-1).onmessage({ data: JSON.stringify(frame) });
}
hear("snapshot");
clock += 15_000;
hear("heartbeat");
"""


def test_a_page_that_slept_says_from_when_it_is_and_not_when_it_woke(tmp_path: Path) -> None:
    script = """
      const found = [said()];
      clock += 7_200_000; // the phone sleeps for two hours
      sockets.at(-1).onclose({ code: 1006 });
      found.push(said());
      document.dispatchEvent(new Event("visibilitychange"));
      hear("snapshot", { version: 2 });
      found.push(said());
      clock += 15_000;
      hear("heartbeat", { version: 3 }); // a change did not reach the page: it asks
      clock += 5_000;
      hear("heartbeat", { version: 2, live: false });
      done([...found, said()]);
    """
    live, slept, again, stale = scripts.run(tmp_path, PHONE + script)
    assert (live, again) == ("Live", "Live")
    assert slept == "Reconnecting… Showing data from 6:00:15 PM UTC"
    assert stale == "Showing data from 8:00:15 PM UTC"


def test_a_page_says_the_date_of_data_that_is_not_of_today(tmp_path: Path) -> None:
    script = """
      const found = [];
      sockets.at(-1).onclose({ code: 1006 });
      for (const hours of [6, 24, 24 * 30]) {
        clock = Date.parse("2026-11-27T18:00:15Z") + (hours * 3600 - 16) * 1000;
        badge.write();
        found.push(said());
      }
      done(found);
    """
    today, tomorrow, later = scripts.run(tmp_path, PHONE + script)
    assert today == "Reconnecting… Showing data from 6:00:15 PM UTC"
    dated = "Reconnecting… Showing data from Fri, Nov 27, 2026, 6:00 PM UTC"
    assert (tomorrow, later) == (dated, dated)


def test_a_page_that_connects_while_the_server_hears_no_changes_says_from_when_it_is(tmp_path: Path) -> None:
    script = """
      const found = [];
      const reconnect = () => {
        sockets.at(-1).onclose({ code: 1006 });
        document.dispatchEvent(new Event("visibilitychange"));
        hear("snapshot");
      };
      clock += 600_000;
      reconnect();
      hear("heartbeat", { live: false }); // at once after the snapshot: it is no newer than before
      found.push(said());
      clock += 60_000;
      reconnect();
      clock += 8_000;
      hear("heartbeat", { live: false }); // later: until now, or until a little before, it was right
      done([...found, said()]);
    """
    old, right = scripts.run(tmp_path, PHONE + script)
    assert old == "Showing data from 6:00:15 PM UTC"
    assert right == "Showing data from 6:11:15 PM UTC"


def test_a_page_that_is_seen_again_is_live_only_if_it_was_heard_meanwhile(tmp_path: Path) -> None:
    script = """
      const found = [];
      const see = () => {
        document.dispatchEvent(new Event("visibilitychange"));
        found.push([said(), sockets.length]);
      };
      clock += 30_000;
      see();
      hear("heartbeat");
      clock += 7_200_000; // the connection is gone, but the browser has not noticed
      see();
      hear("snapshot");
      found.push([said(), sockets.length]);
      done(found);
    """
    awake, slept, again = scripts.run(tmp_path, PHONE + script)
    assert (awake, again) == (["Live", 1], ["Live", 2])
    assert slept == ["Reconnecting… Showing data from 6:00:45 PM UTC", 2]


def test_a_page_with_two_streams_is_live_only_while_both_are(tmp_path: Path) -> None:
    script = """
      const found = [], own = [];
      const both = () => found.push(said());
      follow("/ws/me/", {
        onStatus: (status, _code, currentAt) => { own.push(status); badge.show(status, currentAt, "own"); },
      });
      both();
      hear("snapshot");
      both();
      clock += 60_000;
      const mine = sockets.at(-1);
      sockets[0].onmessage({ data: JSON.stringify({ type: "heartbeat", version: 1, data: { live: true } }) });
      mine.onclose({ code: 4404 });
      both();
      badge.showFresh(clock);
      both();
      badge.forget("own");
      both();
      done([found, own]);
    """
    found, own = scripts.run(tmp_path, PHONE + script)
    assert own == ["reconnecting", "live", "closed"]
    assert found == [
        "Connecting…",
        "Live",
        "Showing data from 6:00:15 PM UTC",
        "Showing data from 6:01:15 PM UTC",
        "Live",
    ]


# A page that answered a form: `gone` has the addresses to which it went, and each reload.
ANSWER = """
const gone = [];
let PaymentStatus;
const listeners = {};
const nothing = { addEventListener() {}, show() {}, left: () => 0 };
Object.assign(globalThis, {
  HTMLElement: class extends EventTarget {
    dataset = {};
    querySelector = () => nothing;
    getAttribute = () => null;
  },
  customElements: { define: (name, type) => { if (name === "payment-status") PaymentStatus = type; } },
  location: { pathname: "/checkout/7/pay/", search: "", reload: () => gone.push("reload") },
  document: {
    querySelector: () => null, querySelectorAll: () => [], addEventListener() {}, documentElement: { dataset: {} },
  },
  addEventListener: (name, listener) => { listeners[name] = listener; },
});
location.replace = (address) => gone.push(address);
await import("checkout/payment-status.js");
"""


def test_a_page_that_answered_a_form_never_sends_the_form_again_by_itself(tmp_path: Path) -> None:
    script = """
      const status = new PaymentStatus();
      status.dataset.stage = "held";
      status.countdown = nothing;
      status.expire(); // the hold has ended
      listeners.pageshow({ persisted: true }); // somebody came back to it
      done(gone);
    """
    assert scripts.run(tmp_path, ANSWER + script) == ["/checkout/7/pay/"] * 2


# A checkout at Stripe, after ANSWER. `status` is its <payment-status>, `place` has the button for the bank, and
# `press` presses it. `confirmed` has the secrets of the calls to Stripe.
STRIPE = """
let press;
const confirmed = [];
const place = { hidden: true, querySelector: () => ({ addEventListener: (_, act) => { press = act; } }) };
const querySelector = (css) => (css.includes("action") ? place : { ...nothing, textContent: "" });
const status = Object.assign(new PaymentStatus(), {
  reservation: 7, errors: {}, dataset: { stage: "processing" }, countdown: { setAttribute() {} }, querySelector,
  page: { reservations: {}, held: {}, payments: {} }, lines: "", getAttribute: () => "UTC",
});
Object.assign(document, { querySelector: () => status, getElementById: () => null });
globalThis.Stripe = () => ({
  elements: () => ({ create: () => ({ mount() {} }) }),
  handleNextAction: ({ clientSecret }) => confirmed.push(clientSecret),
});
const frame = (action) => status.show({
  reservations: [{ id: 7, order: 7, state: "paying", amount: 1, expires_at: "2030-05-01T19:30:00Z" }],
  payments: [{ reservation: 7, payment_status: "PROCESSING", version: 1, error: "", requires_action: action }],
});
"""


def test_a_bank_that_asked_before_stripes_script_was_loaded_can_be_answered(tmp_path: Path) -> None:
    script = """
      frame({ type: "stripe", client_secret: "s1" });
      await import("checkout/stripe-form.js");
      const found = [place.hidden];
      press();
      frame(null);
      found.push(place.hidden);
      press();
      frame({ type: "stripe", client_secret: "s2" });
      found.push(place.hidden);
      press();
      done([...found, confirmed]);
    """
    assert scripts.run(tmp_path, ANSWER + STRIPE + script) == [False, True, False, ["s1", "s2"]]


# The form of a checkout at Stripe, before ANSWER. `sent` has the tokens with which the browser sent it. `given` has
# a function for each token that Stripe was asked for, which gives the token.
CARD_FORM = """
const sent = [], given = [];
const form = Object.assign(new EventTarget(), {
  token: { value: "" }, dataset: {}, elements: {}, querySelector: () => null, querySelectorAll: () => [],
  requestSubmit() {
    if (this.dispatchEvent(new Event("submit", { cancelable: true }))) sent.push(this.token.value);
  },
});
async function give(token) {
  given.at(-1)({ paymentMethod: { id: token } });
  for (let turn = 0; turn < 20; turn++) await null;
}
"""
CARD_PAGE = """
document.querySelector = () => ({
  querySelector: (css) => (css === "form.pay" ? form : { querySelector: () => nothing }),
  addEventListener() {}, getAttribute: () => "pk_1",
});
document.getElementById = () => ({});
globalThis.Stripe = () => ({
  elements: () => ({ create: () => ({ mount() {} }) }),
  createPaymentMethod: () => new Promise((resolve) => given.push(resolve)),
});
const { enableForm } = await import("shop/page.js");
await import("checkout/stripe-form.js");
"""


def test_each_press_of_pay_sends_the_card_that_is_entered_then_and_once(tmp_path: Path) -> None:
    page = ANSWER.replace("querySelectorAll: () => []", "querySelectorAll: () => [form]")
    script = """
      form.requestSubmit();
      form.requestSubmit(); // pressed twice: Stripe is asked for one token
      await give("first card");
      form.requestSubmit(); // it is on its way
      enableForm(form); // the site is slow, and the page says that one can try again
      form.requestSubmit();
      await give("second card");
      done([given.length, sent]);
    """
    found = scripts.run(tmp_path, CARD_FORM + page + CARD_PAGE + script)
    assert found == [2, ["first card", "second card"]]


# A checkout, after ANSWER. `loads(shown, ...frames)` returns for each frame how often the page was loaded again by
# then, and `order(...)` is a frame of reservation 7 and the others of its order.
CHECKOUT = """
Object.assign(globalThis, { window: new EventTarget(), WebSocket: class { close() {} send() {} } });
location.href = "https://tickets.example.org/checkout/7/";
Object.assign(document, { forms: [], removeEventListener() {} });
function loads({ stage = "held", ...versions }, ...frames) {
  const page = JSON.stringify({ reservations: {}, held: {}, payments: {}, ...versions });
  const attributes = { reservation: "7", errors: "{}", versions: page, zone: "UTC" };
  const status = new PaymentStatus();
  status.dataset.stage = stage;
  status.getAttribute = (name) => attributes[name] ?? null;
  status.querySelector = () => ({ ...nothing, setAttribute() {}, focus() {}, textContent: "" });
  status.querySelectorAll = () => [];
  status.connectedCallback();
  gone.length = 0;
  const found = frames.map((frame) => { status.show(frame); return gone.length; });
  status.disconnectedCallback();
  return found;
}
const soon = new Date(Date.now() + 60_000).toISOString();
const line = (id, version, amount, state = "held") => ({ id, version, amount, state, order: 7, expires_at: soon });
const order = (...reservations) => ({ reservations, payments: [] });
const bought = (id, version) => ({
  reservations: [line(7, 4, 2, "validated")],
  payments: [{ id, version, reservation: 7, payment_status: "SUCCESS", error: "" }],
});
"""


def test_a_checkout_is_loaded_again_for_lines_that_changed_before_the_first_frame(tmp_path: Path) -> None:
    script = """
      const shown = { reservations: { 7: 2, 9: 1, 11: 3 }, held: { 7: 2, 9: 1 } };
      const rest = [line(9, 1, 1), line(11, 3, 5, "released")];
      const newer = [
        loads(shown, order(line(7, 3, 4), ...rest)),
        loads(shown, order(line(7, 2, 2), ...rest, line(12, 1, 1))), // another type was added
        loads(shown, order(line(7, 2, 2), line(9, 2, 1, "released"))),
      ];
      const not = [
        loads(shown, order(line(7, 2, 2), ...rest)),
        loads(shown, order(line(7, 3, 2), ...rest)), // the hold was extended, as the countdown shows
        loads(shown, order(line(7, 1, 9), ...rest), order(line(7, 2, 2), ...rest)), // a frame from before the page
        loads(shown, order(line(7, 2, 2), line(9, 1, 1), line(11, 2, 5))), // so is this one
        loads(shown, order(line(7, 3, 2, "paying"), line(9, 2, 1, "paying"))),
        loads(shown, order(line(7, 2, 2), ...rest, { ...line(13, 5, 1), order: 13 })), // of another order
      ];
      const later = loads(shown, order(line(7, 2, 2), ...rest), order(line(7, 3, 3), ...rest));
      done([newer, not, later]);
    """
    newer, not_newer, later = scripts.run(tmp_path, ANSWER + CHECKOUT + script)
    assert newer == [[1], [1], [1]]
    assert not_newer == [[0], [0], [0, 0], [0], [0], [0]]
    assert later == [0, 1]


def test_a_paid_checkout_is_loaded_again_for_a_refund_before_the_first_frame(tmp_path: Path) -> None:
    script = """
      const shown = { stage: "paid", reservations: { 7: 4 }, payments: { 7: [20, 3] } };
      const before = { stage: "processing", reservations: { 7: 3 }, payments: { 7: [20, 2] } };
      done([
        loads(shown, bought(20, 4)),
        loads(shown, bought(20, 3), bought(20, 3), bought(20, 4)),
        loads(shown, bought(20, 2), bought(20, 3)), // a frame from before the page
        loads(before, bought(20, 3), bought(20, 3), bought(20, 4)), // paid meanwhile, and then refunded
      ]);
    """
    assert scripts.run(tmp_path, ANSWER + CHECKOUT + script) == [[1], [0, 0, 1], [0, 0], [0, 0, 1]]


# My tickets. `page(versions)` is the page of these, and `loads` counts how often it was loaded again.
ME = """
let LiveMe, loads = 0;
const shownPage = Object.assign(new EventTarget(), { hidden: false, documentElement: { dataset: {} } });
Object.assign(globalThis, {
  HTMLElement: class { querySelector = () => ({ show() {} }); },
  customElements: { define: (_, type) => { LiveMe = type; } },
  location: { href: "https://tickets.example.org/me/", reload: () => { loads += 1; } },
  history: { state: null, replaceState(state) { this.state = state; } },
  document: shownPage, window: new EventTarget(), WebSocket: class { close() {} send() {} },
});
await import("checkout/live-me.js");
function page(versions) {
  const opened = new LiveMe();
  opened.getAttribute = () => JSON.stringify({ reservations: {}, payments: {}, left_out: 0, ...versions });
  opened.connectedCallback();
  return opened;
}
const held = (id, version) => ({ id, version, order: id });
const paid = (id, version, order) => ({ id, version, reservation: order });
function loaded(versions, reservations, payments = []) {
  loads = 0;
  history.state = null;
  const opened = page(versions);
  opened.show({ reservations, payments }, { version: 1 });
  opened.disconnectedCallback();
  return loads;
}
"""


def test_my_tickets_are_loaded_again_for_what_changed_before_the_first_frame(tmp_path: Path) -> None:
    script = """
      const shown = { reservations: { 7: 3, 9: 1 }, payments: { 7: [20, 2] } };
      const same = [held(9, 1), held(7, 3)];
      const newer = [
        loaded(shown, [held(9, 1), held(7, 4)]),
        loaded(shown, [held(10, 1), ...same]),
        loaded(shown, same, [paid(20, 3, 7)]),
        loaded(shown, same, [paid(21, 1, 7), paid(20, 2, 7)]),
        loaded(shown, same, [paid(22, 1, 9), paid(20, 2, 7)]),
      ];
      const not = [
        loaded(shown, same, [paid(20, 2, 7)]),
        loaded(shown, [held(7, 3)], [paid(20, 2, 7)]), // what ended long ago is in no frame
        loaded(shown, [held(7, 2)], [paid(20, 1, 7), paid(19, 9, 7)]), // a frame from before the page
        loaded({ ...shown, left_out: 6 }, [...same, held(5, 2)], [paid(30, 1, 5)]), // too old for the page
      ];
      done([newer, not]);
    """
    assert scripts.run(tmp_path, ME + script) == [[1, 1, 1, 1, 1], [0, 0, 0, 0]]


def test_hidden_my_tickets_are_loaded_again_when_they_are_visible(tmp_path: Path) -> None:
    script = """
      document.hidden = true;
      page({ reservations: { 7: 3 } }).show({ reservations: [held(7, 4)], payments: [] }, { version: 1 });
      const found = [loads];
      document.hidden = false;
      document.dispatchEvent(new Event("visibilitychange"));
      done([...found, loads]);
    """
    assert scripts.run(tmp_path, ME + script) == [0, 1]


def test_my_tickets_are_loaded_once_for_a_frame_with_a_deleted_row(tmp_path: Path) -> None:
    script = """
      const gone = { reservations: [held(7, 4)], payments: [] };
      for (const version of [5, 5, 5, 4]) page({}).show(gone, { version }); // each page is the reloaded one
      const found = [loads];
      page({}).show(gone, { version: 6 });
      done([...found, loads]);
    """
    assert scripts.run(tmp_path, ME + script) == [1, 2]


# A page with one form, after ANSWER. `sent()` returns the key with which the form is sent, and `late()` the page's
# text about a late answer.
FORM = """
const heard = {}, written = [];
let wait;
const form = {
  dataset: {}, elements: {}, method: "post", matches: () => false, append: (note) => written.push(note.textContent),
  addEventListener: (name, act) => { heard[name] = act; }, querySelector: () => null, querySelectorAll: () => [],
};
Object.assign(form, given);
document.querySelectorAll = () => [form];
document.createElement = () => ({ setAttribute() {} });
globalThis.setTimeout = (act) => { wait = act; };
await import("shop/page.js");
const late = () => {
  heard.submit({});
  wait();
  return written.at(-1);
};
const sent = (formData = new FormData()) => {
  heard.formdata({ formData });
  return formData.get("key");
};
"""


def on_form(given: str, script: str, folder: Path) -> Any:
    before, after = ANSWER.split('await import("checkout/payment-status.js");')
    return scripts.run(folder, f"const given = {given};{before}{FORM}{after}{script}")


def test_a_form_that_all_visitors_share_is_sent_with_a_key_of_its_page(tmp_path: Path) -> None:
    script = """
      const known = new FormData();
      known.set("key", "of the server");
      done([sent(), sent(), sent(known)]);
    """
    first, second = (on_form("{ dataset: { keyed: '' } }", script, tmp_path) for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first[0])
    assert first == [first[0], first[0], "of the server"]
    assert first[0] != second[0]


@pytest.mark.parametrize(
    ("given", "is_once"),
    [
        ("{ dataset: { keyed: '' } }", True),
        ("{ elements: { csrfmiddlewaretoken: {} } }", True),
        ("{}", False),
    ],
)
def test_only_for_a_form_with_a_key_the_page_says_that_nothing_is_done_twice(
    given: str, is_once: bool, tmp_path: Path
) -> None:
    said, key = on_form(given, "done([late(), sent()]);", tmp_path)
    assert said.startswith("The site is slow to answer. You can wait or try again")
    assert ("Nothing will be done twice" in said) == is_once
    assert (key is None) == ("keyed" not in given)


# Two pages whose stream is never live, with a clock of our own: `until(time)` lets the time come. `present` is what
# the server's page has, and `fetches` has when it was fetched.
NOT_LIVE = """
let clock = 0, tick, present, fresh = 0;
const fetches = [], gone = [], types = {};
const badge = { dataset: {}, show(status) { this.dataset.status = status; }, showFresh: () => { fresh += 1; } };
const nothing = { addEventListener() {}, setAttribute() {} };
performance.now = () => clock;
Math.random = () => 0.5;
Object.assign(globalThis, {
  HTMLElement: class extends EventTarget {
    dataset = { stage: "processing" };
    querySelector = (css) => (css === "live-badge" ? badge : nothing);
    querySelectorAll = () => [];
    getAttribute = (name) => ({ versions: this.versions ?? "{}", errors: "{}" })[name] ?? null;
  },
  customElements: { define: (name, type) => { types[name] = type; } },
  location: { href: "https://shop.example.org/me/", pathname: "/me/", search: "", reload: () => gone.push(clock) },
  document: Object.assign(new EventTarget(), {
    hidden: false, documentElement: { dataset: {} }, forms: [], querySelector: () => null,
    querySelectorAll: () => [], getElementById: () => null,
  }),
  history: { state: null },
  window: new EventTarget(), addEventListener() {}, WebSocket: class { close() {} send() {} },
  setTimeout: (act, wait) => { if (wait === 0) act(); }, clearTimeout() {},
  setInterval: (act, every) => { tick = { act, every, at: clock + every }; return tick; },
  clearInterval: (timer) => { if (timer === tick) tick = undefined; },
  DOMParser: class {
    parseFromString = () => ({ cloneNode() { return this; }, querySelector: () => present });
  },
  fetch: async () => { fetches.push(clock); return { ok: true, text: async () => "" }; },
});
location.replace = () => gone.push(clock);
await import("checkout/live-me.js");
await import("checkout/payment-status.js");
async function until(time) {
  while (tick?.at <= time) {
    clock = tick.at;
    tick.at += tick.every;
    tick.act();
    for (let turn = 0; turn < 20; turn++) await null;
  }
  clock = time;
}
"""


NOTHING = '{"reservations":{},"held":{},"payments":{}}'  # the versions of an empty page


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("live-me", "{ getAttribute: () => '{}' }", "{ getAttribute: () => '{\"7\": 2}' }"),
        ("live-me", "{ getAttribute: () => '{}' }", "null"),
        (
            "payment-status",
            f"{{ dataset: {{ stage: 'processing' }}, getAttribute: () => '{NOTHING}' }}",
            f"{{ dataset: {{ stage: 'paid' }}, getAttribute: () => '{NOTHING}' }}",
        ),
        (  # money went back, or lines have changed: the stage is the same
            "payment-status",
            f"{{ dataset: {{ stage: 'processing' }}, getAttribute: () => '{NOTHING}' }}",
            "{ dataset: { stage: 'processing' }, getAttribute: () => '{\"reservations\":{\"7\":2}}' }",
        ),
        (
            "payment-status",
            f"{{ dataset: {{ stage: 'processing' }}, getAttribute: () => '{NOTHING}' }}",
            "null",
        ),
    ],
)
def test_a_page_without_a_stream_asks_what_has_changed_while_somebody_looks(
    name: str, same: str, other: str, tmp_path: Path
) -> None:
    script = f"""
      const page = new types["{name}"]();
      if ("{name}" === "payment-status") page.versions = '{NOTHING}';
      present = {same};
      page.connectedCallback();
      await until(50_000);
      document.hidden = true;
      await until(70_000);
      document.hidden = false;
      present = {other};
      await until(90_000);
      page.disconnectedCallback();
      await until(200_000);
      done([fetches, fresh, gone]);
    """
    assert scripts.run(tmp_path, NOT_LIVE + script) == [[20_000, 40_000, 80_000], 2, [80_000]]


def test_my_tickets_asks_whether_the_mail_was_sent_as_long_as_it_waits(tmp_path: Path) -> None:
    script = """
      const sentence = (text, waits) => ({
        textContent: text, hasAttribute: () => waits, toggleAttribute: (_, given) => { waits = given; },
      });
      const served = (text, waits) => ({ getAttribute: () => "{}", querySelector: () => sentence(text, waits) });
      const shown = sentence("It is on its way.", true);
      const page = new types["live-me"]();
      page.querySelector = (css) => {
        if (css === "live-badge") return badge;
        return css.includes("data-waits") && !shown.hasAttribute() ? null : shown;
      };
      let socket;
      globalThis.WebSocket = class { constructor() { socket = this; } close() {} send() {} };
      page.connectedCallback();
      const data = { reservations: [], payments: [] };
      socket.onmessage({ data: JSON.stringify({ type: "snapshot", version: 1, data }) });
      present = served("It is on its way.", true);
      await until(25_000);
      present = served("It was sent.", false);
      await until(45_000);
      await until(200_000);
      done([badge.dataset.status, fetches, shown.textContent, gone]);
    """
    found = scripts.run(tmp_path, NOT_LIVE + script)
    assert found == ["live", [20_000, 40_000], "It was sent.", []]


def test_a_bank_can_be_answered_on_a_page_without_a_stream(tmp_path: Path) -> None:
    script = """
      let press;
      const confirmed = [];
      const place = { hidden: true, querySelector: () => ({ addEventListener: (_, act) => { press = act; } }) };
      const page = new types["payment-status"]();
      page.getAttribute = (name) => ({
        versions: '{"reservations":{},"held":{},"payments":{}}', errors: "{}", action: '{"client_secret": "s1"}',
      })[name] ?? null;
      page.querySelector = (css) => (css.includes("action") ? place : css === "live-badge" ? badge : nothing);
      page.connectedCallback();
      document.querySelector = () => page;
      globalThis.Stripe = () => ({
        elements: () => ({ create: () => ({ mount() {} }) }),
        handleNextAction: ({ clientSecret }) => confirmed.push(clientSecret),
      });
      await import("checkout/stripe-form.js");
      press();
      done([place.hidden, confirmed]);
    """
    assert scripts.run(tmp_path, NOT_LIVE + script) == [False, ["s1"]]


@pytest.mark.parametrize(("stream", "loads"), [("me.2", 1), ("me.1", 0)])
@pytest.mark.parametrize("name", ["live-me", "payment-status"])
def test_a_page_of_a_user_is_loaded_again_when_another_user_has_logged_in(
    name: str, stream: str, loads: int, tmp_path: Path
) -> None:
    script = f"""
      let socket;
      globalThis.WebSocket = class {{ constructor() {{ socket = this; }} close() {{}} send() {{}} }};
      history.replaceState = () => {{}};
      const page = new types["{name}"]();
      page.versions = '{NOTHING}';
      page.connectedCallback();
      const data = {{ reservations: [], payments: [] }};
      const hear = (stream, version) =>
        socket.onmessage({{ data: JSON.stringify({{ type: "snapshot", stream, version, data }}) }});
      hear("me.1", 7);
      socket.onclose({{ code: 4401 }}); // the session has ended
      page.stream.resync(); // connects by the session that the browser has now
      hear("{stream}", 3); // the version says nothing about the other stream
      done(gone.length);
    """
    assert scripts.run(tmp_path, NOT_LIVE + script) == loads


def test_a_page_whose_stream_is_live_asks_nothing(tmp_path: Path) -> None:
    script = """
      const { whileNotLive } = await import("shop/while-not-live.js");
      const asked = [];
      const poll = whileNotLive(() => asked.push(clock));
      poll.hear("line", "reconnecting");
      poll.hear("own", "reconnecting");
      await until(25_000);
      poll.hear("line", "live");
      await until(45_000);
      poll.hear("own", "live");
      await until(100_000);
      poll.hear("own", "stale");
      await until(125_000);
      poll.forget("own");
      await until(200_000);
      done(asked);
    """
    assert scripts.run(tmp_path, NOT_LIVE + script) == [20_000, 40_000, 120_000]
