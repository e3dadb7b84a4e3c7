// <live-events>: the list of events, live. A frame says how many tickets of each event are left. Everything else comes
// from the server's page: new events, prices, time zones, and whether the last tickets are on hold or sold.

import { follow } from "realtime/live.js";
import { keepFocus } from "shop/focus.js";
import { setText } from "shop/formats.js";
import { freshPage, pauseLeft } from "shop/fresh-page.js";
import { ofEvent } from "tickets/availability-labels.js";

const MOST = 200; // events in a frame
const KEPT = 2_000; // milliseconds: the server keeps the page for a second, and the list in it for another second
const SOON = 2_000; // milliseconds after KEPT over which open pages spread the fetches of a changed list
const LATER = 10_000; // the same if the last tickets went, because then all open pages fetch the list
const AGAIN = 30_000; // between two fetches while the last tickets of an event are on hold
const OFTEN = 300_000; // the longest time between two fetches: no frame says that a price or a time zone changed

class LiveEvents extends HTMLElement {
  dropped = new Set(); // events whose rows were removed because a frame did not have them

  connectedCallback() {
    const badge = document.querySelector("live-badge");
    this.fetched = performance.now();
    this.stream = follow("/ws/events/", {
      onState: (events) => this.show(events),
      onStatus: (status, _code, currentAt) => badge.show(status, currentAt),
    });
    this.timer = setInterval(() => this.refreshOld(), OFTEN / 10);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.stream.close();
  }

  rows() {
    return [...this.querySelectorAll("[data-event]")];
  }

  show(events) {
    this.events = events;
    const shown = new Map(events.map((event) => [String(event.id), event]));
    let fetchWithin = null;
    for (const row of this.rows()) {
      const event = shown.get(row.dataset.event);
      if (event === undefined) {
        if (events.length < MOST) this.drop(row);
      } else if (showEvent(row, event)) fetchWithin ??= LATER;
      if (event && Date.parse(event.date) !== Date.parse(row.dataset.date)) fetchWithin = SOON;
    }
    if (this.hasNew(events) || this.childElementCount === 0) fetchWithin = SOON;
    const isOnHold = this.querySelector("[data-tone=held]") !== null;
    if (isOnHold && performance.now() - this.fetched > AGAIN) fetchWithin ??= LATER;
    if (fetchWithin !== null) this.refresh(fetchWithin);
  }

  drop(row) {
    this.dropped.add(row.dataset.event);
    keepFocus(row, () => remove(row), () => document.querySelector("h1"));
  }

  /** Return whether a frame has an event that belongs in this list but has no row. Only the server knows what belongs
   *  in a filtered list. So in a filtered list, only events count whose row was removed because of an earlier frame. */
  hasNew(events) {
    if (this.hasAttribute("filtered")) return events.some(({ id }) => this.dropped.has(String(id)));
    const rows = this.rows();
    const last = this.hasAttribute("more") ? Date.parse(rows.at(-1)?.dataset.date) : Infinity;
    const listed = new Set(rows.map((row) => row.dataset.event));
    return events.some(({ id, date }) => !listed.has(String(id)) && Date.parse(date) < last);
  }

  refreshOld() {
    const isOld = performance.now() - this.fetched >= OFTEN;
    if (isOld && this.events && document.visibilityState === "visible") this.refresh(LATER);
  }

  /** Replace the list by that of the server's page, and keep the focus. If the page does not come, ask again later. */
  async refresh(within) {
    this.fetched = performance.now();
    const page = await freshPage({ within, kept: KEPT });
    if (page === null && this.isConnected) {
      clearTimeout(this.again);
      this.again = setTimeout(() => this.refresh(LATER), pauseLeft());
    }
    const list = page?.querySelector("live-events");
    if (!list) return;
    this.dropped.clear();
    this.toggleAttribute("more", list.hasAttribute("more"));
    const focused = this.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    this.replaceChildren(...list.childNodes);
    for (const row of this.rows()) {
      const event = this.events.find(({ id }) => String(id) === row.dataset.event);
      if (event && !isEmpty(event)) showEvent(row, event);
    }
    if (focused) this.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Show an event's name and label; return whether its last tickets have just gone. */
function showEvent(row, event) {
  setText(row.querySelector('[data-field="name"]'), event.name);
  const label = row.querySelector('[data-field="label"]');
  const { tone, text } = ofEvent(event);
  const wasEmpty = ["held", "sold-out"].includes(label.dataset.tone);
  if (isEmpty(event) && wasEmpty) return false; // the server's page says whether they are on hold or sold
  label.dataset.tone = tone;
  setText(label, text, { flash: true });
  return isEmpty(event);
}

/** Return whether an event is on sale and has nothing left. */
function isEmpty(event) {
  return event.sale === "open" && event.available === 0;
}

function remove(row) {
  const month = row.closest("section");
  row.remove();
  if (month.querySelector("[data-event]") === null) month.remove();
}

customElements.define("live-events", LiveEvents);
