"""What the scripts of tickets and of the door decide, in Node: networks that fail, and pages that nobody sees."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import scripts

pytestmark = pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")

# A service worker's surroundings: a cache, and a network that does as `network(path)` says. Whoever is patient with one
# that hangs has waited enough at once. `asked(path, kind)` returns what the worker answers: "failed", "waits".
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
      const page = "/t/o7-1-x/", code = "/static/a.0123456789ab.css", texts = "/translations/en.js";
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


# A page's surroundings, as far as <ticket-page> needs them. `page` is the element; `asked` counts what it fetches.
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
set("fetch", async () => {
  asked += 1;
  return { ok: true, status: 200, text: async () => JSON.stringify(present) };
});
await import("admission/ticket-page.js");
const page = new elements["ticket-page"]();
page.dataset = { live: JSON.stringify("1"), stream: "/ws/tickets/x/" };
page.connectedCallback();
const rest = () => new Promise((give) => setTimeout(give, 20));
const see = (state) => { document.visibilityState = state; document.dispatchEvent(new Event("visibilitychange")); };
const hear = (state) => { page.compare(state); page.follows("live"); };
"""


def test_what_changes_while_nobody_sees_the_tickets_is_shown_when_somebody_does(tmp_path: Path) -> None:
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
