// <live-monitor labels="{...}">: the monitor, live. Attributes in the page say where each figure goes:
//   data-show="totals.sold"            the figure's text, in the format of data-as
//   data-rows="feed" data-key="key"    a list: a row for each item, cloned from the <template> in it
//   data-share="held capacity"         a width in percent: `held` of `capacity`; data-from gives the start
//   data-if="switch pause"             shown only while the value of `switch` is "pause"
//   data-link="/events/{id}/"          a link; {id} is the item's

import "stats/minute-chart.js";
import { follow, now } from "realtime/live.js";
import { dateTime, duration, gettext, money, number, percent, setText, timeOfDay, timeToTheSecond } from "shop/formats.js";

let labels = {};

const WRITE = {
  plain: (value) => (typeof value === "number" ? number(value) : (value ?? "–")),
  number: (value) => String(value),
  money: (value, { currency }) => money(value, currency),
  seconds: (value) => (value === null || value === undefined ? "–" : gettext("%(value)s s", { value: number(value) })),
  percent: (value) => (value === null ? "" : percent(value)),
  "date-time": (value, { time_zone: zone }) => dateTime(value, zone),
  time: (value) => (value === null || value === undefined ? "–" : timeOfDay(value)),
  "time-to-the-second": (value) => timeToTheSecond(value),
  left: (value) => duration((Date.parse(value) - now()) / 1000),
  what: (value) => labels.feed[value],
  status: (value) => labels.sales[value],
  line: (value) => labels.lines[value],
};

class LiveMonitor extends HTMLElement {
  connectedCallback() {
    labels = JSON.parse(this.getAttribute("labels"));
    const badge = this.querySelector("live-badge");
    this.stream = follow("/ws/stats/", {
      onState: (data, frame) => this.show(data, frame),
      onStatus: (status, _code, currentAt) => badge.show(status, currentAt),
    });
  }

  disconnectedCallback() {
    this.stream.close();
  }

  show(data, frame) {
    fill(this, data);
    this.querySelector("minute-chart").show(data.minutes);
    const lag = Math.max(0, (Date.parse(frame.server_time) - Date.parse(data.read_at)) / 1000);
    setText(this.querySelector('[data-field="lag"]'), WRITE.seconds(Math.round(lag * 100) / 100));
  }
}

/** Write the figures of `data` into the places of `root`, but not into places in rows within it. */
function fill(root, data) {
  const of = root.closest("[data-row]");
  for (const place of root.querySelectorAll("[data-show],[data-rows],[data-share],[data-if],[data-link]")) {
    if (place.closest("[data-row]") === of) write(place, data);
  }
}

function write(place, data) {
  const { show, rows, share, from, link } = place.dataset;
  if (place.dataset.if) {
    const [name, wanted] = place.dataset.if.split(" ");
    place.hidden = at(data, name) !== wanted;
  }
  if (link) {
    place.href = link.replace("{id}", data.id);
    if (place.dataset.name !== undefined) {
      place.dataset.name = data.name;
      place.dataset.when = dateTime(data.date, data.time_zone);
    }
  }
  if (show) {
    const value = at(data, show);
    setText(place, WRITE[place.dataset.as ?? "plain"](value, data) ?? "");
    if (place.dataset.as === "what") place.dataset.what = value;
  }
  if (share) place.setAttribute("width", part(data, share));
  if (from) place.setAttribute("x", part(data, from));
  if (rows) list(place, at(data, rows));
}

function at(data, path) {
  return path.split(".").reduce((value, name) => value?.[name], data);
}

function part(data, names) {
  const [some, all] = names.split(" ").map((name) => at(data, name));
  return all > 0 ? ((100 * some) / all).toFixed(2) : "0";
}

/** Make the rows of a list match `items`. An item that stays keeps its element, so that nothing flickers. An element
 *  that has the focus would lose it when it is moved, so it gets the focus again. */
function list(place, items) {
  const template = place.querySelector(":scope > template");
  const present = new Map([...place.querySelectorAll(":scope > [data-row]")].map((row) => [row.dataset.row, row]));
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  let after = null;
  for (const item of items) {
    const key = String(item[place.dataset.key]);
    const row = present.get(key) ?? template.content.firstElementChild.cloneNode(true);
    present.delete(key);
    row.dataset.row = key;
    const spot = after === null ? place.firstElementChild : after.nextElementSibling;
    if (row !== spot) place.insertBefore(row, spot);
    fill(row, item);
    after = row;
  }
  for (const gone of present.values()) gone.remove();
  if (focused !== document.activeElement) focused?.focus({ preventScroll: true });
}

customElements.define("live-monitor", LiveMonitor);
