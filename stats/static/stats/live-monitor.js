// <live-monitor>: the monitor, moved by its stream alone. The page says where each figure goes:
//   data-show="totals.sold"            the figure's text, written as data-as says
//   data-rows="feed" data-key="key"    a list: one row for each, cloned from the <template> within
//   data-share="held capacity"         a width in hundredths, from where data-from says
//   data-if="sale open"                shown only while it is so

import "stats/minute-chart.js";
import { follow, now } from "realtime/live.js";
import { clock, minutes, money, number, put, say, timeOfDay } from "shop/words.js";

const WHAT = {
  reserved: say("Reserved"), paid: say("Paid"), expired: say("Ran out"), released: say("Given back"), refunded: say("Paid back"),
};
const SALE = { open: say("on sale"), paused: say("paused"), upcoming: say("not open yet"), ended: say("ended") };

const WRITE = {
  plain: (value) => (typeof value === "number" ? number(value) : (value ?? "–")),
  number: (value) => String(value),
  money: (value, { currency }) => money(value, currency),
  seconds: (value) => (value === null || value === undefined ? "–" : say("%(value)s s", { value })),
  percent: (value) => (value === null ? "" : new Intl.NumberFormat(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 }).format(value)),
  time: timeOfDay,
  clock,
  left: (value) => minutes((Date.parse(value) - now()) / 1000),
  what: (value) => WHAT[value],
  sale: (value) => SALE[value],
};

class LiveMonitor extends HTMLElement {
  connectedCallback() {
    const badge = this.querySelector("live-badge");
    this.stream = follow("/ws/stats/", {
      onState: (data, frame) => this.show(data, frame),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    this.stream.close();
  }

  show(data, frame) {
    fill(this, data);
    this.querySelector("minute-chart").show(data.minutes);
    const lag = Math.max(0, (Date.parse(frame.server_time) - Date.parse(data.read_at)) / 1000);
    put(this.querySelector('[data-field="lag"]'), WRITE.seconds(Math.round(lag * 100) / 100));
  }
}

/** Will write what `data` says into the places of `root` that are its own. */
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
    if (place.dataset.name !== undefined) place.dataset.name = data.name;
  }
  if (show) {
    const value = at(data, show);
    put(place, WRITE[place.dataset.as ?? "plain"](value, data) ?? "");
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

/** Will make the rows of a list those of `items`: what stays keeps its element, so that nothing flickers. */
function list(place, items) {
  const template = place.querySelector(":scope > template");
  const present = new Map([...place.querySelectorAll(":scope > [data-row]")].map((row) => [row.dataset.row, row]));
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
}

customElements.define("live-monitor", LiveMonitor);
