// <live-badge>: says whether what the page shows is true now. Without JavaScript it says when it was.

import { now } from "realtime/live.js";
import { clock, put, say } from "shop/words.js";

const PATIENCE = 4_000; // for a first connection, before it says how old the page is

class LiveBadge extends HTMLElement {
  /** Will show a status of `follow`. Until it is no longer "live", the page is true. */
  show(status) {
    if (status === "live" || this.dataset.status === "live") this.trueAt = now();
    this.dataset.status = status;
    put(this, this.words(status));
    clearTimeout(this.timer);
    if (status === "reconnecting" && this.trueAt === undefined) {
      this.timer = setTimeout(() => put(this, this.words("stale")), PATIENCE);
    }
  }

  words(status) {
    if (status === "live") return say("Live");
    if (status === "reconnecting" && this.trueAt === undefined) return say("Connecting…");
    const since = clock(this.trueAt ?? this.getAttribute("time"));
    if (status === "reconnecting") return say("Reconnecting… showing data from %(time)s", { time: since });
    return say("Showing data from %(time)s", { time: since });
  }
}

customElements.define("live-badge", LiveBadge);
