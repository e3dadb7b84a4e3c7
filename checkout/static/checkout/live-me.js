// <live-me>: My tickets, live. The server makes the page; it is reloaded when a reservation or payment changes.

import { follow } from "realtime/live.js";

class LiveMe extends HTMLElement {
  connectedCallback() {
    const badge = this.querySelector("live-badge");
    this.stream = follow("/ws/me/", {
      onState: (mine) => this.show(mine),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    this.stream.close();
  }

  show({ reservations, payments }) {
    const versions = [...reservations, ...payments].map(({ id, version }) => `${id}:${version}`).join();
    if (this.versions !== undefined && this.versions !== versions) location.reload();
    this.versions = versions;
  }
}

customElements.define("live-me", LiveMe);
