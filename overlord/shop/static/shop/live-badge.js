// <live-badge time="...">: shows whether the page has live data. Without JavaScript, it shows when the page was made.

import { hearTime } from "realtime/live.js";
import { gettext, setText, timeToTheSecond } from "shop/formats.js";

const FIRST_CONNECTION = 4_000; // milliseconds; without a connection by then, the badge says how old the data is

class LiveBadge extends HTMLElement {
  /** Use the server's time in the page: until a stream is live, countdowns would use this machine's clock. */
  connectedCallback() {
    const [page] = performance.getEntriesByType("navigation");
    const isKept = !page?.transferSize || page.workerStart > 0; // an old page, from the browser or a service worker
    if (!isKept) hearTime(this.getAttribute("time"), performance.now() - page.responseStart);
  }

  /** Show a status of a stream (live.js). `currentAt` is when the stream's data was last known to be current. */
  show(status, currentAt) {
    if (currentAt !== undefined) this.currentAt = Math.max(currentAt, this.currentAt ?? currentAt);
    this.dataset.status = status;
    setText(this, this.text(status));
    clearTimeout(this.timer);
    if (status === "reconnecting" && this.currentAt === undefined) {
      this.timer = setTimeout(() => setText(this, this.text("stale")), FIRST_CONNECTION);
    }
  }

  /** Show that the data is from this time: the page is not live, but was fetched again. */
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
