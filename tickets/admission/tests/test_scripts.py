"""The scripts of tickets and of the door, in Node: networks that fail, and pages that nobody sees."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import scripts
from tickets.admission import rules

pytestmark = [pytest.mark.slow, pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")]

# A service worker's surroundings: a cache, and a network that behaves as `network(path)` tells. A time-out for a
# network that hangs is over at once. `asked(path, kind)` returns the worker's answer: "failed", "waits".
WORKER = """
const SITE = "https://tickets.example.org";
const listeners = {}, kept = new Map();
let network = () => "fresh";
class Answer {
  constructor(body, status = 200) { Object.assign(this, { body, status, ok: status === 200, type: "basic" }); }
  clone() { return this; }
}
const urlOf = (asked) => new URL(asked.url ?? asked, SITE).href;
const cache = {
  match: async (asked) => kept.get(urlOf(asked)),
  put: async (asked, answer) => { kept.delete(urlOf(asked)); kept.set(urlOf(asked), answer); },
  delete: async (asked) => kept.delete(urlOf(asked)),
  keys: async () => [...kept.keys()].map((url) => ({ url })),
};
globalThis.self = globalThis;
globalThis.location = { origin: SITE };
globalThis.caches = { open: async () => cache, keys: async () => [], delete: async () => kept.clear() };
globalThis.addEventListener = (name, listener) => { listeners[name] = listener; };
AbortSignal.timeout = () => AbortSignal.abort(new Error("It took too long."));
globalThis.fetch = async (asked, { signal } = {}) => {
  const said = network(new URL(urlOf(asked)).pathname);
  if (said === "away" || (said === "hanging" && signal?.aborted)) throw new TypeError("Failed to fetch");
  if (said === "hanging") return new Promise(() => {});
  return typeof said === "number" ? new Answer("an error", said) : new Answer(said);
};
async function asked(path, { mode = "navigate", destination = "document" } = {}) {
  let answered = "not asked";
  const request = { method: "GET", url: SITE + path, mode, destination };
  listeners.fetch({ request, respondWith: (answer) => { answered = answer; } });
  const patience = new Promise((give) => setTimeout(() => give({ body: "waits" }), 50));
  return Promise.race([answered, patience]).then(({ body }) => body ?? answered, () => "failed");
}
const paths = () => [...kept.keys()].map((url) => url.replace(SITE, ""));
runInThisContext(%(worker)s);
"""


def worker(name: str, script: str, folder: Path) -> Any:
    """Run a service worker and a script beside it."""
    begin = WORKER % {"worker": json.dumps(scripts.source(name))}
    return scripts.run(folder, begin + script)


def test_tickets_show_although_the_network_hangs_or_the_server_cannot_answer(tmp_path: Path) -> None:
    script = """
      const page = "/t/o7-1-x/", code = "/static/a.0123456789ab.css", texts = "/translations/de.js";
      const file = { mode: "cors", destination: "style" }, poll = { mode: "cors", destination: "" };
      network = () => "seen";
      await asked(page); await asked(code, file); await asked(texts, file);
      const found = {};
      for (const trouble of ["hanging", 503, "away"]) {
        network = () => trouble;
        found[trouble] = [await asked(page), await asked(code, file), await asked(texts, file)];
        found[`${trouble}: unseen`] = await asked("/t/o8-1-x/");
        found[`${trouble}: poll`] = await asked(page, poll);
      }
      network = () => 404;
      found.ended = [await asked(page), paths().includes(page)];
      done(found);
    """
    assert worker("admission/ticket-worker.js", script, tmp_path) == {
        "hanging": ["seen", "seen", "seen"],
        "hanging: unseen": "waits",
        "hanging: poll": "waits",
        "503": ["seen", "seen", "seen"],
        "503: unseen": "an error",
        "503: poll": "an error",
        "away": ["seen", "seen", "seen"],
        "away: unseen": "failed",
        "away: poll": "failed",
        "ended": ["an error", False],
    }


# A page's surroundings, as far as <ticket-page> needs them. `page` is the element; `asked` counts its requests.
PAGE = """
const part = () => ({ textContent: "", innerHTML: "", children: [], hidden: false, show() {}, showFresh() {} });
const parts = new Map();
const found = (css) => parts.get(css) ?? parts.set(css, part()).get(css);
let elements, asked = 0, present = "1";
const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
set("HTMLElement", class { dataset = {}; querySelector = found; querySelectorAll = () => []; });
set("customElements", { define: (name, type) => { elements = { ...elements, [name]: type }; } });
set("location", { href: "https://tickets.example.org/t/x/", pathname: "/t/x/" });
set("navigator", { onLine: true });
set("addEventListener", () => {});
set("window", new EventTarget());
set("document", Object.assign(new EventTarget(), { visibilityState: "visible", documentElement: { dataset: {} } }));
set("WebSocket", class { close() {} send() {} });
const parsed = (live) => ({ querySelector: (css) => (css === "ticket-page" ? { dataset: { live } } : part()) });
set("DOMParser", class { parseFromString = parsed; });
let text = async () => JSON.stringify(present);
set("fetch", async () => {
  asked += 1;
  return { ok: true, status: 200, text };
});
await import("admission/ticket-page.js");
const page = new elements["ticket-page"]();
page.dataset = { live: JSON.stringify("1"), stream: "/ws/tickets/x/" };
page.connectedCallback();
const rest = () => new Promise((give) => setTimeout(give, 20));
const see = (state) => { document.visibilityState = state; document.dispatchEvent(new Event("visibilitychange")); };
const hear = (state) => { page.compare(state); page.follows("live"); };
"""


def test_a_change_while_the_page_is_hidden_is_shown_when_it_is_visible(tmp_path: Path) -> None:
    script = """
      hear("1"); await rest();
      const said = [asked];
      see("hidden"); present = "2"; hear("2"); await rest();
      said.push(asked);
      see("visible"); await rest();
      said.push(asked, page.dataset.live);
      see("hidden"); see("visible"); await rest();
      said.push(asked);
      done(said);
    """
    assert scripts.run(tmp_path, PAGE + script) == [0, 0, 1, '"2"', 1]


def test_an_answer_that_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    script = """
      const whole = text;
      text = async () => { throw new TypeError("network error"); };
      present = "2"; hear("2"); await rest();
      const said = [asked, page.dataset.live, found("[data-field=said]").textContent];
      text = whole;
      see("visible"); await rest();
      done([...said, asked, page.dataset.live, found("[data-field=said]").textContent]);
    """
    lost = "No connection. You can still show your tickets, because they are saved on this device."
    assert scripts.run(tmp_path, PAGE + script) == [1, '"1"', lost, 2, '"2"', ""]


def test_without_a_network_a_gate_shows_its_own_page_or_one_of_its_event(tmp_path: Path) -> None:
    script = """
      const north = "/door/?event=1&gate=North", south = "/door/?event=1&gate=South";
      for (const path of [north, south]) await cache.put(path, new Answer(path.slice(-5)));
      network = () => "with names"; await asked(north); await asked(`${north}&q=ada`);
      network = () => "away";
      const shown = [north, `${north}&q=ada`, south, "/door/?event=1&gate=East", "/door/?event=1", "/door/"];
      const found = await Promise.all([...shown, "/door/?event=2&gate=North"].map((path) => asked(path)));
      done([found, paths()]);
    """
    found, kept = worker("admission/door-worker.js", script, tmp_path)
    assert found == ["North", "North", "South", "South", "South", "South", "failed"]
    assert kept == ["/door/?event=1&gate=North", "/door/?event=1&gate=South"]


# A gate's surroundings: a server that knows who is in, and a network. "lossy" loses answers, "listless" loses
# lists. With "busy" the server accepts no scans, and with "strict" no undo. `tick()` does what the gate does every
# three seconds.
GATE = """
const { DoorDesk } = await import("admission/door-desk.js");
const server = { admitted: new Set(), calls: [], version: 1, network: "on", picture: { code: null } };
const valid = (id) => [id, `T${id}`, 3, 1, server.admitted.has(id) ? "admitted" : "valid", null, ""];
const list = () => ({
  version: server.version, complete: true, keys: [], ticket_types: [{ id: 3, name: "Stalls" }],
  tickets: [1, 2, 3].map(valid),
});
const recorded = new Map();
function admit({ scan_id: scan, serial }) {
  const id = Number(serial.slice(1));
  if (recorded.has(scan)) return recorded.get(scan);
  const result = server.admitted.has(id) ? "already_admitted" : "admitted";
  server.admitted.add(id);
  return recorded.set(scan, { scan_id: scan, result, ticket: { id } }).get(scan);
}
function undo(scan) {
  if (!recorded.has(scan)) return { code: "not_found", status: 404 };
  const { ticket } = recorded.get(scan);
  server.admitted.delete(ticket.id);
  return { scan_id: scan, result: "admitted", ticket, undone_at: "now" };
}
function answer(path, body) {
  if (path.includes("/pictures/")) return server.picture;
  if (path.includes("/list/")) return list();
  if (server.network === "busy") return { code: "throttled", status: 429 };
  const isUndo = path.endsWith("/undo/");
  if (isUndo && server.network === "strict") return { code: "permission_denied", status: 403 };
  if (isUndo) return undo(path.split("/")[3]);
  return path.endsWith("/batch/") ? JSON.parse(body).scans.map(admit) : admit(JSON.parse(body));
}
globalThis.fetch = async (path, { body }) => {
  const name = path.split("/")[path.includes("/list/") ? 4 : path.endsWith("/undo/") ? 4 : 3] || "scan";
  if (server.network === "off") throw new TypeError("Failed to fetch");
  server.calls.push(name);
  const said = answer(path, body);
  if (server.network === "lossy" || (server.network === "listless" && name === "list")) throw new TypeError("Lost");
  return { status: 200, json: async () => said };
};
let tick;
globalThis.setInterval = (act) => { tick = act; };
const [onNetwork, onConflict, onList] = [() => {}, () => {}, () => {}];
const refusals = [], onNoPictures = ({ code }) => refusals.push(code);
const desk = new DoorDesk({ event: 7, gate: "N", csrf: "", onNetwork, onConflict, onList, onNoPictures });
await desk.begin();
server.calls.length = 0;
"""


def gate(script: str, folder: Path) -> Any:
    return scripts.run(folder, GATE + script)


def test_an_admission_is_undone_without_a_network_and_at_the_server_if_it_has_it(tmp_path: Path) -> None:
    script = """
      const found = [];
      const takeBack = async ({ scan_id: scan }) => found.push(Boolean((await desk.undo(scan))?.undone_at));
      server.network = "lossy";
      const lost = await desk.scan({ serial: "T1" });
      server.network = "off";
      const unsent = await desk.scan({ serial: "T2" });
      await takeBack(unsent);
      const tried = await desk.scan({ serial: "T3" });
      await desk.renew();
      await takeBack(lost); await takeBack(tried);
      found.push((await desk.scan({ serial: "T1" })).result, [...server.admitted]);
      server.network = "on";
      await desk.renew();
      done([...found, [...server.admitted], desk.kept.length, server.calls]);
    """
    calls = ["scan", "undo", "undo", "batch", "list"]
    assert gate(script, tmp_path) == [True, True, True, "unchecked", [1], [1], 0, calls]


def test_an_admission_that_is_undone_while_it_is_settled_is_undone_at_the_server(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      await desk.scan({ serial: "T1" });
      const { scan_id: scan } = await desk.scan({ serial: "T2" });
      server.network = "on";
      const settling = desk.renew();
      await desk.undo(scan);
      await settling;
      done([[...server.admitted], desk.kept.length, server.calls]);
    """
    assert gate(script, tmp_path) == [[1], 0, ["batch", "list", "undo", "list"]]


def test_a_conflict_names_the_ticket_also_if_the_server_does_not_know_it(tmp_path: Path) -> None:
    script = """
      const conflicts = [];
      desk.onConflict = ({ result, ticket }) => conflicts.push([result, ticket.serial, ticket.ticket_type_name]);
      server.network = "off";
      await desk.scan({ serial: "T1" });
      await desk.scan({ serial: "T2" });
      recorded.set(desk.kept[0].scan_id, { result: "unknown", ticket: null });
      recorded.set(desk.kept[1].scan_id, { result: "revoked", ticket: { serial: "T9" } });
      server.network = "on";
      await desk.renew();
      done(conflicts);
    """
    assert gate(script, tmp_path) == [["unknown", "T1", "Stalls"], ["revoked", "T9", None]]


def test_an_admission_is_remembered_until_the_list_has_it(tmp_path: Path) -> None:
    script = """
      const found = [];
      const scan = async (serial) => found.push((await desk.scan({ serial })).result);
      await scan("T1"); // with a network
      server.network = "off";
      await scan("T1"); await scan("T2");
      server.network = "listless"; // the network is back for the scans, and gone before the list
      await desk.renew();
      found.push(desk.kept.length);
      await scan("T2");
      server.network = "on";
      await desk.renew();
      server.network = "off";
      await scan("T2");
      found.push(desk.list.letIn.size);
      done(found);
    """
    offline = ["already_admitted", "unchecked", 0, "already_admitted", "already_admitted", 0]
    assert gate(script, tmp_path) == ["admitted", *offline]


def test_scans_are_settled_also_when_a_picture_is_first_to_reach_the_server_again(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      await desk.scan({ serial: "T1" });
      server.network = "on";
      await desk.readPicture(new Uint8Array(4), 2);
      const found = [desk.isOffline, desk.kept.length];
      await tick();
      found.push(desk.kept.length, [...server.admitted]);
      server.calls.length = 0;
      await tick(); // nothing waits: the server is left alone
      done([...found, server.calls]);
    """
    assert gate(script, tmp_path) == [False, 1, 0, [1], []]


def test_a_refused_picture_does_not_count_as_one_without_a_code(tmp_path: Path) -> None:
    script = """
      const codes = [];
      const look = async (picture) => {
        server.picture = picture;
        codes.push(await desk.readPicture(new Uint8Array(4), 2));
      };
      await look({ code: "ABC" });
      await look({ code: null });
      await look({ code: "rate_limited", status: 429 }); // the next look may succeed
      await look({ code: "not_authenticated", status: 401 });
      await look({ code: "permission_denied", status: 403 });
      server.network = "off";
      await look({ code: "ABC" });
      done([codes, refusals]);
    """
    refusals = ["not_authenticated", "permission_denied"]
    assert gate(script, tmp_path) == [["ABC", None, None, None, None, None], refusals]


def test_scans_that_the_server_refuses_for_now_are_sent_again(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      await desk.scan({ serial: "T1" });
      await desk.undo((await desk.scan({ serial: "T2" })).scan_id);
      server.network = "busy";
      await tick();
      const found = [desk.isOffline, desk.kept.length];
      server.network = "on";
      await tick();
      done([...found, desk.kept.length, [...server.admitted]]);
    """
    assert gate(script, tmp_path) == [False, 1, 0, [1]]


def test_an_undo_that_the_server_refuses_does_not_hold_up_the_scans(tmp_path: Path) -> None:
    script = """
      server.network = "lossy";
      await desk.undo((await desk.scan({ serial: "T1" })).scan_id);
      server.network = "off";
      await desk.scan({ serial: "T2" });
      server.network = "strict";
      await tick();
      const found = [desk.kept.length, [...server.admitted], desk.refusal.code];
      server.network = "on";
      await tick();
      done([...found, desk.kept.length, [...server.admitted], desk.refusal]);
    """
    assert gate(script, tmp_path) == [1, [1, 2], "permission_denied", 0, [2], None]


# A browser that keeps a list for a gate, and whose storage opens as late as `opened()` is called.
SLOW_STORAGE = """
const rows = { lists: { event: 7, version: 1, keys: [], ticket_types: [] }, tickets: [valid(1)], scans: [] };
const asked = (result) => {
  const request = { result };
  queueMicrotask(() => request.onsuccess());
  return request;
};
const store = (name) => ({ get: () => asked(rows[name]), getAll: () => asked(rows[name]), put() {} });
const transaction = () => {
  const made = { objectStore: store };
  queueMicrotask(() => made.oncomplete?.());
  return made;
};
const opening = { result: { transaction } };
const opened = () => opening.onsuccess();
globalThis.indexedDB = { open: () => opening };
globalThis.IDBKeyRange = { bound: () => undefined };
"""


def test_a_scan_before_the_kept_list_is_read_waits_for_it(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      const quick = new DoorDesk({ event: 7, gate: "N", csrf: "", onNetwork, onConflict, onList, onNoPictures });
      const began = quick.begin(), scanned = quick.scan({ serial: "T1" });
      await new Promise((give) => setTimeout(give, 20));
      opened();
      const { result } = await scanned;
      await began;
      done([result, quick.kept.length]);
    """
    assert gate(SLOW_STORAGE + script, tmp_path) == ["unchecked", 1]


def test_without_a_network_a_serial_is_read_as_the_server_reads_it(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      const found = [];
      for (const serial of [" t-1", "T 1", "T9"]) found.push((await desk.scan({ serial })).result);
      done(found);
    """
    assert gate(script, tmp_path) == ["unchecked", "already_admitted", "unknown"]


def test_a_gate_whose_disk_is_full_still_answers(tmp_path: Path) -> None:
    script = """
      const fails = async () => { throw new DOMException("full", "QuotaExceededError"); };
      desk.store = { keepScan: fails, forgetScans: fails, keepList: fails };
      server.network = "off";
      const { result } = await desk.scan({ serial: "T1" });
      done([result, desk.kept.length, desk.store]);
    """
    assert gate(script, tmp_path) == ["unchecked", 1, None]


def test_changes_while_a_list_is_on_its_way_are_fetched_again(tmp_path: Path) -> None:
    script = """
      const first = desk.renew();
      server.version = 2;
      await Promise.all([first, desk.renew()]);
      done([server.calls, desk.list.version]);
    """
    assert gate(script, tmp_path) == [["list", "list"], 2]


def test_a_ticket_that_is_shown_twice_at_once_without_a_network_is_let_in_once(tmp_path: Path) -> None:
    script = """
      server.network = "off";
      const answers = await Promise.all([desk.scan({ serial: "T1" }), desk.scan({ serial: "t-1" })]);
      done([answers.map(({ result }) => result), answers[1].first.gate, desk.kept.length]);
    """
    assert gate(script, tmp_path) == [["unchecked", "already_admitted"], "N", 1]


# A second page of a gate in the same browser: both have the store `shared`. `turn(page)` lets one work and the
# other rest.
TWO_PAGES = """
const scans = new Map(), lists = new Map();
const shared = {
  list: async (event) => lists.get(event) ?? null,
  scans: async () => [...scans.values()].map((scan) => ({ ...scan })),
  keepScan: async (scan) => { scans.set(scan.scan_id, { ...scan }); },
  forgetScans: async (ids) => ids.forEach((id) => scans.delete(id)),
  keepList: async (event, news) => { lists.set(event, { ...news, complete: true }); },
};
const other = new DoorDesk({ event: 7, gate: "S", csrf: "", onNetwork, onConflict, onList, onNoPictures });
desk.store = other.store = shared;
async function turn(page) {
  (page === desk ? other : desk).rest();
  await page.resume();
}
await other.begin();
"""


def test_two_pages_of_a_browser_share_what_they_let_in_and_what_they_undo(tmp_path: Path) -> None:
    script = """
      const found = [], scan = async (page, serial) => (await page.scan({ serial }))?.result;
      await turn(desk);
      server.network = "off";
      found.push(await scan(desk, "T1"));
      const undone = await desk.scan({ serial: "T2" });
      await turn(other);
      found.push(await scan(other, "T1"), await scan(other, "T2"));
      found.push(Boolean((await other.undo(undone.scan_id)).undone_at));
      await turn(desk);
      found.push(desk.kept.length, await scan(desk, "T2"), await scan(other, "T3"));
      server.network = "on";
      server.calls.length = 0;
      await desk.renew(); await other.renew();
      done([found, [...server.admitted], server.calls, scans.size]);
    """
    found, admitted, calls, kept = gate(TWO_PAGES + script, tmp_path)
    assert found[:4] == ["unchecked", "already_admitted", "already_admitted", True]
    assert found[4:] == [2, "unchecked", None], "the page that rests lets nobody in"
    assert (sorted(admitted), calls, kept) == ([1, 2], ["undo", "batch", "list"], 0)


def test_a_page_whose_kept_list_was_removed_asks_for_the_whole_list(tmp_path: Path) -> None:
    script = """
      const asked = [], kept = [], really = fetch;
      globalThis.fetch = (path, given) => {
        if (path.includes("/list/")) asked.push(path.split("=").at(-1));
        return really(path, given);
      };
      desk.store = { ...shared, keepList: async () => { kept.push(asked.at(-1)); return asked.at(-1) === "0"; } };
      await desk.renew();
      await desk.renew();
      done([asked, kept]);
    """
    assert gate(TWO_PAGES + script, tmp_path) == [["1", "0", "1", "0"], ["1", "0", "1", "0"]]


def test_a_scan_on_its_way_while_the_page_rests_is_still_undone(tmp_path: Path) -> None:
    script = """
      await turn(desk);
      server.network = "off";
      const { scan_id: scan } = await desk.scan({ serial: "T1" });
      const really = fetch;
      let arrive;
      globalThis.fetch = async (path, given) => {
        if (path.endsWith("/batch/") && !arrive) await new Promise((give) => { arrive = give; });
        return really(path, given);
      };
      const settling = desk.renew();
      await turn(other);
      await turn(desk);
      await desk.undo(scan);
      server.network = "on";
      arrive();
      await settling;
      done([[...server.admitted], server.calls.slice(-4), desk.kept.length, scans.size]);
    """
    calls = ["batch", "list", "undo", "list"]
    assert gate(TWO_PAGES + script, tmp_path) == [[], calls, 0, 0]


# Several pages of one browser: their storage, and what each hears of the others. `pages` says which work.
ONE_BROWSER = """
const { OnePage } = await import("admission/one-page.js");
const kept = new Map(), said = [];
let writable = true;
const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
set("localStorage", {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => {
    if (!writable) throw new DOMException("full", "QuotaExceededError");
    kept.set(name, value);
  },
});
function opened({ hidden = false } = {}) {
  const [window, document] = [new EventTarget(), Object.assign(new EventTarget(), { hidden })];
  set("window", window);
  set("document", document);
  const page = new OnePage({ onWork: () => said.push("works"), onRest: () => said.push("rests") });
  page.begin();
  const send = (target, name) => { set("document", document); target.dispatchEvent(new Event(name)); };
  const see = (seen) => { document.hidden = !seen; send(document, "visibilitychange"); };
  return { page, see, hear: () => send(window, "storage"), focus: () => send(window, "focus") };
}
const working = (...pages) => pages.map(({ page }) => !page.isResting);
"""


def test_of_a_browsers_pages_only_the_one_that_is_seen_works(tmp_path: Path) -> None:
    script = """
      const one = opened(), found = [];
      const two = opened();
      one.hear(); two.hear();
      found.push(working(one, two));
      one.see(false); one.see(true); // shown again: it takes over
      found.push(two.page.check(), working(one, two)); // the other notices it before its next scan
      two.focus(); one.hear();
      found.push(working(one, two));
      const behind = opened({ hidden: true });
      two.hear();
      found.push(working(two, behind));
      behind.see(true); two.hear();
      found.push(working(two, behind), said.length);
      done(found);
    """
    found = scripts.run(tmp_path, ONE_BROWSER + script)
    assert found[:3] == [[False, True], False, [True, False]]
    assert found[3:] == [[False, True], [True, False], [False, True], 8]


def test_a_browser_that_keeps_nothing_lets_each_page_work(tmp_path: Path) -> None:
    script = """
      const one = opened();
      writable = false;
      const two = opened();
      two.hear();
      kept.clear();
      one.hear();
      done([working(one, two), said]);
    """
    assert scripts.run(tmp_path, ONE_BROWSER + script) == [[True, True], []]


# The page of a gate, as far as <door-page> needs a browser. `scanned` has the scans whose answers a test gives, and
# `picture` is the server's answer to a picture. `seen()` is the text of the panel; `vibrations` are the device's.
GATE_PAGE = """
const part = () => {
  const parts = new Map();
  const lines = [];
  return {
    textContent: "", value: "", hidden: false, dataset: {}, elements: { undo: {} }, children: lines,
    querySelector: (css) => parts.get(css) ?? parts.set(css, part()).get(css),
    get content() { return { firstElementChild: { cloneNode: part } }; },
    prepend: (line) => lines.unshift(line),
    focus() {}, show() {}, addEventListener() {}, replaceChildren() {}, play() {}, matches: () => false,
  };
};
const labels = { waiting: "Checking", admitted: "In", unchecked: "Perhaps", revoked: "Revoked", undone: "Undone" };
labels.permission_denied = "Reload the page.";
const attributes = { event: "7", gate: "N", zone: "UTC", labels: JSON.stringify(labels) };
const scanned = [], vibrations = [];
let type, picture;
const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
set("HTMLElement", class { getAttribute = (name) => attributes[name]; });
set("customElements", { define: (_, found) => { type = found; } });
const track = { getSettings: () => ({}), stop() {} };
const film = { getTracks: () => [track], getVideoTracks: () => [track] };
const mediaDevices = { getUserMedia: async () => film, enumerateDevices: async () => [] };
const canvas = { getContext: () => ({ drawImage() {}, getImageData: () => ({ data: [] }) }) };
set("navigator", { vibrate: ([first]) => vibrations.push(first), mediaDevices });
set("window", new EventTarget());
const documentElement = { dataset: {} };
set("document", Object.assign(new EventTarget(), { documentElement, createElement: () => canvas }));
set("location", { href: "https://tickets.example.org/door/?event=7&gate=N" });
set("WebSocket", class { close() {} send() {} });
const list = {
  version: 1, complete: true, keys: [], ticket_types: [], tickets: [[1, "T1", 3, 1, "valid", null, ""]],
};
set("fetch", (path, { body }) => {
  if (path.includes("/list/")) return { status: 200, json: async () => list };
  if (path.includes("/pictures/")) return { status: picture.status, json: async () => picture };
  return new Promise((resolve, lose) => {
    const answer = (said) => resolve({ status: said.status ?? 200, json: async () => said });
    scanned.push({ answer, lose, body });
  });
});
await import("admission/door-page.js");
const { querySelector, addEventListener, dataset } = part();
const page = Object.assign(new type(), { querySelector, addEventListener, dataset });
await page.connectedCallback();
const panel = page.querySelector(".answer");
const undo = panel.querySelector("form");
const field = (name) => panel.querySelector(`[data-field="${name}"]`).textContent;
const seen = () => [panel.dataset.result, field("result"), field("who"), undo.hidden];
const lines = () => page.querySelector(".lines").children.map(({ dataset }) => dataset.result);
const asked = [];
const scan = (serial) => asked.push(page.scan(serial));
async function hear(nth, result, holder) {
  scanned[nth].answer({ scan_id: `scan ${nth}`, result, ticket: { id: nth, holder } });
  await asked[nth];
}
"""


def gate_page(script: str, folder: Path) -> Any:
    return scripts.run(folder, GATE_PAGE + script)


def test_the_page_of_a_gate_shows_nobody_the_answer_to_the_person_before(tmp_path: Path) -> None:
    script = """
      scan("T1"); await hear(0, "admitted", "Anna");
      const found = [seen(), undo.elements.undo.value];
      scan("T2");
      found.push(seen());
      await hear(1, "revoked", "Ben");
      done([...found, seen(), lines(), vibrations]);
    """
    anna, ben = ["admitted", "In", "Anna", False], ["revoked", "Revoked", "Ben", True]
    waiting = ["waiting", "Checking", "", True]
    said = [anna, "scan 0", waiting, ben, ["revoked", "admitted"], [80, 400]]
    assert gate_page(script, tmp_path) == said


def test_an_answer_that_comes_late_leaves_the_panel_to_the_newest_scan(tmp_path: Path) -> None:
    script = """
      scan("T1"); scan("T2"); scan("T3"); scan("T4"); await hear(3, "admitted", "Dora");
      const found = [seen()];
      await hear(2, "revoked", "Carl"); // staff hear that somebody was refused
      scanned[1].answer({ code: "rate_limited", status: 429, title: "Too many" }); await asked[1];
      found.push(seen(), undo.elements.undo.value, lines(), [...vibrations]);
      scan("T5"); await hear(4, "revoked", "Emil");
      scanned[0].lose(new TypeError("Failed to fetch")); await asked[0]; // and feel nothing that lets somebody in
      done([...found, seen(), undo.elements.undo.value, lines()[0], vibrations.length]);
    """
    dora = ["admitted", "In", "Dora", False]
    emil = ["revoked", "Revoked", "Emil", True]
    in_order = [dora, dora, "scan 3", ["problem", "revoked", "admitted"], [80, 400, 400]]
    assert gate_page(script, tmp_path) == [*in_order, emil, "scan 4", "unchecked", 4]


def test_a_ticket_that_is_shown_again_before_the_answer_is_the_same_scan(tmp_path: Path) -> None:
    script = """
      scan("T1"); scan("T2"); scan(" T1 ");
      await hear(1, "revoked", "Ben");
      scanned[0].answer({ scan_id: "scan 0", result: "admitted", ticket: { id: 1, holder: "Anna" } });
      await asked[0];
      const found = [scanned.length, seen(), lines(), vibrations];
      scan("T1");
      done([...found, scanned.length]);
    """
    anna = ["admitted", "In", "Anna", False]
    assert gate_page(script, tmp_path) == [2, anna, ["admitted", "revoked"], [400, 80], 3]


def test_a_search_without_a_network_says_that_it_needs_one_and_leaves_the_page_open(tmp_path: Path) -> None:
    script = """
      const note = page.querySelector(".unsearched"), found = [];
      const search = () => {
        let isSent = true;
        const target = { matches: (css) => css === "[role=search]" };
        page.submit({ target, preventDefault: () => { isSent = false; } });
        found.push([isSent, note.hidden]);
      };
      search();
      page.desk.isOffline = true;
      search();
      note.hidden = true;
      location.href += "&q=ada";
      const result = page.querySelector;
      page.sayUnsearched();
      found.push(note.hidden); // there is a result
      page.querySelector = (css) => (css === ".found" ? null : result(css));
      page.sayUnsearched();
      done([...found, note.hidden]);
    """
    assert gate_page(script, tmp_path) == [[True, True], [False, False], True, False]


def test_a_camera_that_is_pulled_out_is_not_shown_as_open(tmp_path: Path) -> None:
    script = """
      await page.openCamera();
      const error = page.querySelector(".camera .error");
      const found = [page.camera.isOpen, error.hidden];
      await track.onended();
      done([...found, page.camera.isOpen, error.hidden]);
    """
    assert gate_page(script, tmp_path) == [True, True, False, False]


def test_the_screen_stays_on_while_the_camera_looks_and_no_longer(tmp_path: Path) -> None:
    script = """
      const locks = [];
      const isHeld = () => locks.filter(({ released }) => !released).length;
      navigator.wakeLock = { request: async () => {
        const lock = { released: false, release() { lock.released = true; } };
        locks.push(lock);
        return lock;
      } };
      const rest = () => new Promise((give) => setTimeout(give, 5));
      picture = { status: 200, code: null };
      await page.openCamera(); await rest();
      const found = [isHeld()];
      locks[0].release(); // the page was hidden
      document.dispatchEvent(new Event("visibilitychange")); await rest();
      found.push(isHeld());
      page.toggleCamera();
      document.dispatchEvent(new Event("visibilitychange")); await rest();
      done([...found, isHeld()]);
    """
    assert gate_page(script, tmp_path) == [1, 1, 0]


def test_a_gate_that_rests_closes_its_camera_and_opens_it_again(tmp_path: Path) -> None:
    script = """
      picture = { status: 200, code: null };
      const note = page.querySelector(".resting"), found = [];
      await page.openCamera();
      page.onePage.rest();
      found.push(page.camera.isOpen, note.hidden);
      page.see("T1");
      found.push(scanned.length);
      await page.onePage.takeOver();
      found.push(page.camera.isOpen, note.hidden);
      page.see("T1");
      await new Promise((give) => setTimeout(give, 5));
      done([...found, scanned.length]);
    """
    assert gate_page(script, tmp_path) == [False, False, 0, True, True, 1]


def test_a_gate_says_in_words_that_a_holder_was_erased(tmp_path: Path) -> None:
    script = """
      scan("T1");
      const ticket = { id: 1, holder: "", holder_erased: true, buyer: "Ada", email: "ada@example.org" };
      scanned[0].answer({ scan_id: "scan 0", result: "admitted", ticket });
      await asked[0];
      done(field("who"));
    """
    assert gate_page(script, tmp_path) == "Name erased"


def test_a_gate_says_why_the_server_does_not_take_its_scans(tmp_path: Path) -> None:
    script = """
      const note = page.querySelector(".network"), rest = () => new Promise((give) => setTimeout(give, 20));
      const settle = async (nth, said) => {
        page.desk.renew(); await rest();
        scanned[nth].answer(said); await rest();
      };
      scan("T1"); scanned[0].lose(new TypeError("Failed to fetch")); await asked[0];
      const found = [];
      await settle(1, { status: 401, code: "not_authenticated", detail: "Log in first." });
      found.push(note.textContent);
      await settle(2, { status: 403, code: "permission_denied", detail: "CSRF Failed" });
      found.push(note.textContent);
      await settle(3, []);
      done([...found, note.hidden]);
    """
    waiting = "1 scan is waiting to be sent."
    assert gate_page(script, tmp_path) == [f"{waiting} Log in first.", f"{waiting} Reload the page.", True]


def test_a_camera_may_see_a_code_that_is_longer_than_the_server_takes(tmp_path: Path) -> None:
    script = """
      page.see(` ${"x".repeat(400)}`); page.see("\\0 ");
      done([scanned.length, JSON.parse(scanned[0].body).serial.length]);
    """
    assert gate_page(script, tmp_path) == [1, rules.SHOWN_LENGTH]


def test_a_camera_whose_log_in_has_ended_stops_and_says_so(tmp_path: Path) -> None:
    script = """
      Object.assign(page.querySelector(".camera").querySelector("video"), { videoWidth: 640, videoHeight: 480 });
      const found = [];
      for (const [status, code, detail] of [[429, "rate_limited", "Wait"], [401, "not_authenticated", "Log in"]]) {
        picture = { status, code, detail };
        await page.openCamera();
        await new Promise((give) => setTimeout(give, 20)); // it has looked once
        found.push(page.camera.isOpen, panel.dataset.result, field("result"));
      }
      done([...found, scanned.length, vibrations]);
    """
    refused = [False, "problem", "Log in"]
    assert gate_page(script, tmp_path) == [True, None, "", *refused, 0, [400]]


# The page of a gate, as far as news of its stream needs it.
DOOR_PAGE = """
const parts = new Map();
const made = () => ({ hidden: true, show(status) { this.status = status; } });
const part = (css) => parts.get(css) ?? parts.set(css, made()).get(css);
let element;
const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
set("HTMLElement", class { querySelector = part; });
set("customElements", { define: (name, type) => { if (name === "door-page") element = type; } });
set("document", Object.assign(new EventTarget(), { documentElement: { lang: "en", dataset: {} } }));
set("window", new EventTarget());
set("addEventListener", () => {});
set("location", { href: "https://tickets.example.org/door/", pathname: "/door/" });
await import("admission/door-page.js");
const page = new element();
page.desk = { isOffline: false };
const hear = (...said) => {
  page.hear(...said);
  return [part("live-badge").status, part(".removed").hidden];
};
"""


def test_a_gate_says_when_its_event_is_no_longer_there(tmp_path: Path) -> None:
    script = 'done([hear("live"), hear("reconnecting"), hear("closed", 4403), hear("closed", 4404)]);'
    assert scripts.run(tmp_path, DOOR_PAGE + script) == [
        ["live", True],
        ["reconnecting", True],
        ["closed", True],
        ["closed", False],
    ]
