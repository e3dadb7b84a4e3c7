// <live-badge time="...">: shows whether the page has live data. Without JavaScript, it shows when the page was made. A
// page that follows several streams is live only while all of them are.

import { hearTime, now } from "realtime/live.js";
import { gettext, setText, timeOrDate } from "shop/formats.js";

const FIRST_CONNECTION = 4_000; // milliseconds; without a connection by then, the badge says how old the data is
const WORST_FIRST = ["closed", "stale", "reconnecting", "live"];

class LiveBadge extends HTMLElement {
  streams = new Map(); // by name: the status of each, and when its data was last known to be current

  /** Use the server's time in the page. Otherwise countdowns would use this machine's clock until a stream is live. */
  connectedCallback() {
    const [page] = performance.getEntriesByType("navigation");
    const isKept = !page?.transferSize || page.workerStart > 0; // an old page, from the browser or a service worker
    if (!isKept) hearTime(this.getAttribute("time"), performance.now() - page.responseStart);
  }

  /** Show a status of a stream (live.js). `currentAt` is when the stream's data was last known to be current. */
  show(status, currentAt, stream = "page") {
    const before = this.streams.get(stream)?.currentAt;
    this.streams.set(stream, { status, currentAt: latest(currentAt, before) });
    this.write();
  }

  /** Ignore a stream that the page no longer follows. */
  forget(stream) {
    if (this.streams.delete(stream)) this.write();
  }

  /** Show that the data is from this time: the page is not live, but was fetched again. */
  showFresh(time) {
    for (const stream of this.streams.values()) stream.currentAt = time;
    this.write();
  }

  write() {
    const all = [...this.streams.values()];
    const status = WORST_FIRST.find((each) => all.some((stream) => stream.status === each));
    this.currentAt = oldest(all.filter((stream) => stream.status !== "live"));
    this.dataset.status = status;
    setText(this, this.text(status));
    clearTimeout(this.timer);
    if (status === "reconnecting" && this.currentAt === undefined) {
      this.timer = setTimeout(() => setText(this, this.text("stale")), FIRST_CONNECTION);
    }
  }

  text(status) {
    if (status === "live") return gettext("Live");
    if (status === "reconnecting" && this.currentAt === undefined) return gettext("Connecting…");
    // The data of a kept page, or of one that slept, may be days old.
    const time = timeOrDate(this.currentAt ?? this.getAttribute("time"), undefined, now());
    if (status === "reconnecting") return gettext("Reconnecting… Showing data from %(time)s", { time });
    return gettext("Showing data from %(time)s", { time });
  }
}

function latest(one, other) {
  return one === undefined || other === undefined ? one ?? other : Math.max(one, other);
}

/** Return the time of the oldest data; undefined if a stream has sent nothing yet. */
function oldest(streams) {
  const times = streams.map(({ currentAt }) => currentAt);
  return times.length === 0 || times.includes(undefined) ? undefined : Math.min(...times);
}

customElements.define("live-badge", LiveBadge);
