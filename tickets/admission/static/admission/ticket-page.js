// <ticket-page data-stream="..." data-live="...">: keeps the screen on and the tickets up to date, and saves the page
// for use without a network. The stream only says which version is the newest; the page fetches its content from the
// server. Without the stream, it asks the server regularly.

import { follow, now } from "realtime/live.js";
import { gettext, setText } from "shop/formats.js";
import "shop/live-badge.js";

const ASK_EVERY = 20_000; // milliseconds, while there is no stream
const FIRST_CONNECTION = 4_000; // a page whose stream is not live by then asks the server
const PATIENCE = 10_000; // the longest wait for an answer

class TicketPage extends HTMLElement {
  connectedCallback() {
    this.badge = this.querySelector("live-badge");
    this.keep();
    this.stayAwake();
    document.addEventListener("visibilitychange", this.onVisible);
    addEventListener("online", this.onVisible);
    if (!navigator.onLine) this.refresh();
    this.stream = follow(this.dataset.stream, {
      onState: (state) => this.compare(state),
      onStatus: (status, _code, currentAt) => this.follows(status, currentAt),
    });
    this.first = setTimeout(() => this.isOld && this.refresh(), FIRST_CONNECTION);
    this.timer = setInterval(() => this.isOld && this.refresh(), ASK_EVERY);
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("online", this.onVisible);
    this.stop();
  }

  stop() {
    this.stream.close();
    clearTimeout(this.first);
    clearInterval(this.timer);
  }

  onVisible = () => {
    if (document.visibilityState !== "visible") return;
    this.stayAwake();
    if (this.isOld) this.refresh();
  };

  /** Return whether the page may be old: the stream is not live, or the page does not show the stream's state yet. */
  get isOld() {
    return this.status !== "live" || (this.heard !== undefined && this.heard !== this.dataset.live);
  }

  /** Handle a status of the stream. If it is "closed", fetch the page, because the link may have ended. */
  follows(status, currentAt) {
    this.status = status;
    this.badge.show(status, currentAt);
    if (status === "live") this.say("");
    if (status === "closed") this.refresh();
  }

  compare(state) {
    this.heard = JSON.stringify(state);
    if (this.heard !== this.dataset.live) this.refresh();
  }

  /** Ask for a screen that stays on. A browser may refuse, to save its battery. */
  async stayAwake() {
    try {
      await navigator.wakeLock?.request("screen");
    } catch { /* the page works all the same */ }
  }

  /** Let the service worker keep this page and its files. */
  async keep() {
    if (!navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register(this.dataset.worker, { scope: "/t/" });
      const { active } = await navigator.serviceWorker.ready;
      const files = performance.getEntriesByType("resource").map((entry) => entry.name);
      active.postMessage({ keep: [location.href, ...new Set(files)] });
    } catch { /* a private window keeps nothing */ }
  }

  /** Fetch the page and show what has changed. Fetches run one after the other. */
  refresh() {
    this.asked = (this.asked ?? Promise.resolve()).then(() => this.load());
  }

  async load() {
    if (document.visibilityState !== "visible") return;
    let response, text;
    try {
      response = await fetch(location.pathname, {
        headers: { Accept: "text/html" },
        signal: AbortSignal.timeout(PATIENCE),
      });
      text = await response.text();
    } catch {
      this.say(gettext("No connection. You can still show your tickets, because they are saved on this device."));
      return;
    }
    if (response.status === 404) this.end();
    if (response.ok) this.show(new DOMParser().parseFromString(text, "text/html"));
  }

  /** Remove the tickets, and say that the link has ended. */
  end() {
    this.stop();
    this.badge.hidden = true;
    this.querySelector("[data-field=passes]").replaceChildren();
    for (const link of this.querySelectorAll("a")) link.remove();
    this.say(gettext("This link no longer works. Use the link in the newest mail about your tickets."));
  }

  /** Update this page from a fresh one. A ticket whose form is open stays, unless its code or state changed. */
  show(fresh) {
    this.say("");
    if (this.status !== "live") this.badge.showFresh(now());
    this.dataset.live = fresh.querySelector("ticket-page").dataset.live;
    for (const name of ["event", "links"]) {
      const [shown, newer] = [this.field(name), field(fresh, name)];
      if (shown.innerHTML !== newer.innerHTML) shown.innerHTML = newer.innerHTML; // otherwise the focus would be lost
    }
    for (const pass of [...field(fresh, "passes").children]) {
      const before = this.querySelector(`[data-ticket="${pass.dataset.ticket}"]`);
      if (before === null) this.field("passes").append(pass);
      else if (before.outerHTML !== pass.outerHTML && !isFilledIn(before, pass)) before.replaceWith(pass);
    }
  }

  field(name) {
    return field(this, name);
  }

  /** Show a sentence that says why the page shows nothing newer; an empty text removes it. */
  say(text) {
    setText(this.field("said"), text);
  }
}

function field(place, name) {
  return place.querySelector(`[data-field=${name}]`);
}

/** Return whether a form of a ticket is open, and its code and state are still the same. */
function isFilledIn(before, pass) {
  const isSame = before.dataset.issue === pass.dataset.issue && before.dataset.state === pass.dataset.state;
  return isSame && before.querySelector("details[open]") !== null;
}

customElements.define("ticket-page", TicketPage);
