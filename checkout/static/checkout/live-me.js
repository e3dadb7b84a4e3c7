// <live-me>: My tickets, live. The server makes the page. When a reservation or payment changes, the page is loaded
// again, but only while it is visible, because a hold that is shown counts as looked at.

import { follow } from "realtime/live.js";

class LiveMe extends HTMLElement {
  connectedCallback() {
    const badge = this.querySelector("live-badge");
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    this.stream = follow("/ws/me/", {
      onState: (mine) => this.show(mine),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.see);
    this.stream.close();
  }

  show({ reservations, payments }) {
    const versions = [...reservations, ...payments].map(({ id, version }) => `${id}:${version}`).join();
    this.isDue ||= this.versions !== undefined && this.versions !== versions;
    this.versions = versions;
    this.see();
  }

  see() {
    if (this.isDue && !document.hidden) location.reload();
  }
}

customElements.define("live-me", LiveMe);
