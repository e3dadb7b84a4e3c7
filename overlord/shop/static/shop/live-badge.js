// <live-badge time="...">: shows whether the page has live data. Without JavaScript it shows when the page was made.

import { hearTime } from "realtime/live.js";
import { gettext, setText, timeToTheSecond } from "shop/formats.js";

const FIRST_CONNECTION = 4_000; // milliseconds without a connection until the badge says how old the page is

class LiveBadge extends HTMLElement {
  /** Take the server's time from the page: without a stream its countdowns would go by this machine's clock. */
  connectedCallback() {
    const [page] = performance.getEntriesByType("navigation");
    const isKept = !page?.transferSize || page.workerStart > 0; // by the browser, or for use without a network
    if (!isKept) hearTime(this.getAttribute("time"), performance.now() - page.responseStart);
  }

  /** Show a status of `follow`, and keep when its data was last known to be current. */
  show(status, currentAt) {
    if (currentAt !== undefined) this.currentAt = Math.max(currentAt, this.currentAt ?? currentAt);
    this.dataset.status = status;
    setText(this, this.text(status));
    clearTimeout(this.timer);
    if (status === "reconnecting" && this.currentAt === undefined) {
      this.timer = setTimeout(() => setText(this, this.text("stale")), FIRST_CONNECTION);
    }
  }

  /** Show that the page was fetched again at this time, although it is not live. */
  showFresh(time) {
    this.currentAt = time;
    this.show(this.dataset.status);
  }

  text(status) {
    if (status === "live") return gettext("Live");
    if (status === "reconnecting" && this.currentAt === undefined) return gettext("Connecting…");
    const time = timeToTheSecond(this.currentAt ?? this.getAttribute("time"));
    if (status === "reconnecting") return gettext("Reconnecting… Showing data from %(time)s", { time });
    return gettext("Showing data from %(time)s", { time });
  }
}

customElements.define("live-badge", LiveBadge);
