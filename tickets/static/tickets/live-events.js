// <live-events>: the list of events, live.

import { follow } from "realtime/live.js";
import { put } from "shop/words.js";
import { ofEvent } from "tickets/availability-labels.js";

class LiveEvents extends HTMLElement {
  connectedCallback() {
    const badge = document.querySelector("live-badge");
    this.stream = follow("/ws/events/", {
      onState: (events) => this.show(events),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    this.stream.close();
  }

  show(events) {
    for (const event of events) {
      const standing = this.querySelector(`[data-event="${event.id}"] [data-field="standing"]`);
      if (standing === null) continue;
      const { tone, words } = ofEvent(event);
      standing.dataset.tone = tone;
      put(standing, words, { flash: true });
    }
  }
}

customElements.define("live-events", LiveEvents);
