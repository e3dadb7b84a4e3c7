// <live-events>: the list of events, live.

import { follow } from "realtime/live.js";
import { setText } from "shop/formats.js";
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
      const label = this.querySelector(`[data-event="${event.id}"] [data-field="label"]`);
      if (label === null) continue;
      const { tone, text } = ofEvent(event);
      label.dataset.tone = tone;
      setText(label, text, { flash: true });
    }
  }
}

customElements.define("live-events", LiveEvents);
