// <live-me>: my tickets, live. The page is made by the server; when a reservation changes, it is asked for anew.

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
    const states = [...reservations, ...payments].map(({ id, version }) => `${id}:${version}`).join();
    if (this.states !== undefined && this.states !== states) location.reload();
    this.states = states;
  }
}

customElements.define("live-me", LiveMe);
