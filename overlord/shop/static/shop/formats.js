// Texts, money, times and numbers in the page's language. `overlord/shop/formats.py` writes the same on the server.
// The translations come from Django's JavaScript catalogue (`/translations.js`).

const catalogue = globalThis.django ?? {};
const language = document.documentElement.lang || "en";
const defaultZone = document.documentElement.dataset.timeZone || "UTC";

/** Translate a text and fill in its `%(name)s`. */
export function gettext(text, values = {}) {
  return fill(catalogue.gettext ? catalogue.gettext(text) : text, values);
}

/** Translate a text that depends on the number `n`, and fill in `%(n)s` and the other values. */
export function ngettext(one, many, n, values = {}) {
  const text = catalogue.ngettext ? catalogue.ngettext(one, many, n) : n === 1 ? one : many;
  return fill(text, { n: number(n), ...values });
}

function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
}

export function number(value) {
  return new Intl.NumberFormat(language).format(value);
}

/** Write a share as a percentage: 0.125 is 12.5%. */
export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** Write a decimal string of a currency, with its decimals. */
export function money(amount, currency) {
  const places = amount.split(".")[1]?.length ?? 0;
  const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
  return new Intl.NumberFormat(language, { style: "currency", currency, ...digits }).format(amount);
}

/** Add two decimal strings of one currency, exactly. */
export function add(one, other) {
  const part = one.split(".")[1] ?? "";
  const minor = String(BigInt(one.replace(".", "")) + BigInt(other.replace(".", ""))).padStart(part.length + 1, "0");
  return part ? `${minor.slice(0, -part.length)}.${minor.slice(-part.length)}` : minor;
}

/** Multiply a decimal string by a whole number, exactly. */
export function multiply(amount, count) {
  const [whole, part = ""] = amount.split(".");
  const minor = String(BigInt(whole + part) * BigInt(count)).padStart(part.length + 1, "0");
  return part ? `${minor.slice(0, -part.length)}.${minor.slice(-part.length)}` : minor;
}

/** Write the name of a time zone: Europe/Berlin is "Berlin time", Etc/GMT-1 is "UTC+1". */
export function zoneName(zone = defaultZone) {
  const parts = zone.split("/");
  const city = parts.pop();
  if (parts[0] === "Etc") return city.replace("GMT", "UTC").replace(/[+-]/, (sign) => (sign === "+" ? "-" : "+"));
  if (parts.length === 0) return city;
  return gettext("%(city)s time", { city: city.replaceAll("_", " ") });
}

/** Write a time of day to the second with the zone: 7:30:05 PM UTC. */
export function timeToTheSecond(instant, zone = defaultZone) {
  return `${write(instant, { timeStyle: "medium" }, zone)} ${zoneName(zone)}`;
}

/** Write a time of day: 7:30 PM. */
export function timeOfDay(instant, zone = defaultZone) {
  return write(instant, { timeStyle: "short" }, zone);
}

/** Write a date and a time with the zone: Fri, Jan 8, 2027, 7:30 PM UTC. */
export function dateTime(instant, zone = defaultZone) {
  const date = write(instant, { year: "numeric", month: "short", day: "numeric" }, zone);
  return `${weekday(instant, zone)}, ${date}, ${timeOfDay(instant, zone)} ${zoneName(zone)}`;
}

/** Write a day of the month: 8. */
export function day(instant, zone = defaultZone) {
  return write(instant, { day: "numeric" }, zone);
}

/** Write a short weekday: Fri. */
export function weekday(instant, zone = defaultZone) {
  return write(instant, { weekday: "short" }, zone);
}

function write(instant, parts, zone) {
  return new Intl.DateTimeFormat(language, { ...parts, timeZone: zone }).format(new Date(instant));
}

/** Write seconds as minutes and seconds: 14:05. */
export function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Make all kinds of space alike: browsers and servers put different ones before PM. */
function withPlainSpaces(text) {
  return text.replace(/[^\S\n]/g, " ");
}

/** Set an element's text if it differs; with `flash`, highlight the change for a moment. */
export function setText(element, text, { flash = false } = {}) {
  if (element === null || withPlainSpaces(element.textContent) === withPlainSpaces(text)) return;
  element.textContent = text;
  if (!flash) return;
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}
