// <ticket-page>: keeps the screen awake and the tickets fresh, and has them kept for when there is no network.

import { gettext } from "shop/formats.js";

const REFRESH = 20_000; // milliseconds

class TicketPage extends HTMLElement {
  connectedCallback() {
    this.keep();
    this.stayAwake();
    document.addEventListener("visibilitychange", this.onVisible);
    addEventListener("online", this.onVisible);
    if (!navigator.onLine) this.refresh();
    this.timer = setInterval(() => this.refresh(), REFRESH);
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("online", this.onVisible);
    clearInterval(this.timer);
  }

  onVisible = () => {
    if (document.visibilityState !== "visible") return;
    this.stayAwake();
    this.refresh();
  };

  /** Ask for a screen that stays on. A browser may refuse, to save its battery. */
  async stayAwake() {
    try {
      await navigator.wakeLock?.request("screen");
    } catch { /* the page works all the same */ }
  }

  /** Have the service worker keep this page and all that it needs. */
  async keep() {
    if (!navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register(this.dataset.worker, { scope: "/t/" });
      const { active } = await navigator.serviceWorker.ready;
      const files = performance.getEntriesByType("resource").map((entry) => entry.name);
      active.postMessage({ keep: [location.href, ...new Set(files)] });
    } catch { /* a private window keeps nothing */ }
  }

  /** Show what has changed, and say when there is nothing newer to show. */
  async refresh() {
    if (document.visibilityState !== "visible") return;
    let response;
    try {
      response = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    } catch {
      this.say(gettext("No connection. Show your tickets all the same: they were saved on this device."));
      return;
    }
    if (response.status === 404) {
      this.querySelector("[data-field=passes]").replaceChildren();
      this.say(gettext("This link does not work any more. The newest e-mail about your tickets has one that works."));
    }
    if (response.ok) this.show(new DOMParser().parseFromString(await response.text(), "text/html"));
  }

  show(fresh) {
    const passes = this.querySelector("[data-field=passes]");
    const now = fresh.querySelector("[data-field=passes]");
    const asOf = this.querySelector("[data-field=as-of]");
    asOf.classList.remove("is-old");
    asOf.textContent = fresh.querySelector("[data-field=as-of]").textContent;
    this.querySelector("[data-field=event]").innerHTML = fresh.querySelector("[data-field=event]").innerHTML;
    if (this.querySelector("details[open]")) return; // somebody writes there; the server refuses what is out of date
    if (now.innerHTML.trim() !== passes.innerHTML.trim()) passes.innerHTML = now.innerHTML;
  }

  /** Say why nothing newer is shown. */
  say(text) {
    const asOf = this.querySelector("[data-field=as-of]");
    asOf.classList.add("is-old");
    asOf.textContent = text;
  }
}

customElements.define("ticket-page", TicketPage);
