// <live-badge>: says whether what the page shows is true now. Without JavaScript it says when it was.

import { now } from "realtime/live.js";
import { clock, put, say } from "shop/words.js";

class LiveBadge extends HTMLElement {
  /** Will show a status of `follow`. Each of "live" is a proof that the page is true at this moment. */
  show(status) {
    if (status === "live") this.trueAt = now();
    if (this.dataset.status === "live" && status !== "live") this.trueAt = now();
    this.dataset.status = status;
    put(this, this.words(status));
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
