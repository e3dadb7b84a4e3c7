// <live-desk event="12">: the figures of a line for staff, taken from the server's page when the line has changed.

import { follow } from "realtime/live.js";
import { freshPage } from "shop/fresh-page.js";

const OFTEN = 2_000; // milliseconds within which the figures follow

class LiveDesk extends HTMLElement {
  connectedCallback() {
    const badge = this.querySelector("live-badge");
    this.stream = follow(`/ws/line/${this.getAttribute("event")}/`, {
      onState: () => this.renew(),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    this.stream.close();
  }

  async renew() {
    const page = await freshPage({ within: OFTEN });
    for (const fresh of page?.querySelectorAll("live-desk [data-part]") ?? []) {
      this.querySelector(`[data-part=${fresh.dataset.part}]`).replaceWith(fresh.cloneNode(true));
    }
  }
}

customElements.define("live-desk", LiveDesk);
