// Texts, money, times and numbers in the page's language. `overlord/shop/formats.py` makes the same on the server.
// The translations come from a script of Django (`/translations/de.js`). A page in English has none.

const catalogue = globalThis.django ?? {};
const language = document.documentElement.lang || "en";
const defaultZone = document.documentElement.dataset.timeZone || "UTC";

/** Return the translation of a text. `values` has a value for each of its placeholders, such as `%(name)s`. */
export function gettext(text, values = {}) {
  return fill(catalogue.gettext ? catalogue.gettext(text) : text, values);
}

/** Return the translation of a text that depends on the number `n`. The text may have the placeholder `%(n)s`. */
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

/** Return a share as a percentage: "12.5%" for 0.125. */
export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** Return an amount of money, a decimal string, with the currency and all its decimals. */
export function money(amount, currency) {
  const places = amount.split(".")[1]?.length ?? 0;
  const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
  return new Intl.NumberFormat(language, { style: "currency", currency, ...digits }).format(amount);
}

/** Return the exact sum of two decimal strings of the same currency, as a decimal string. */
export function add(one, other) {
  const part = one.split(".")[1] ?? "";
  const minor = String(BigInt(one.replace(".", "")) + BigInt(other.replace(".", ""))).padStart(part.length + 1, "0");
  return part ? `${minor.slice(0, -part.length)}.${minor.slice(-part.length)}` : minor;
}

/** Return the exact product of a decimal string and a whole number, as a decimal string. */
export function multiply(amount, count) {
  const [whole, part = ""] = amount.split(".");
  const minor = String(BigInt(whole + part) * BigInt(count)).padStart(part.length + 1, "0");
  return part ? `${minor.slice(0, -part.length)}.${minor.slice(-part.length)}` : minor;
}

/** Return the name of a time zone: "Berlin time" for Europe/Berlin, "UTC+1" for Etc/GMT-1. */
export function zoneName(zone = defaultZone) {
  const parts = zone.split("/");
  const city = parts.pop();
  if (parts[0] === "Etc") return city.replace("GMT", "UTC").replace(/[+-]/, (sign) => (sign === "+" ? "-" : "+"));
  if (parts.length === 0) return city;
  return gettext("%(city)s time", { city: city.replaceAll("_", " ") });
}

/** Return a time of day to the second with the zone: "7:30:05 PM UTC". */
export function timeToTheSecond(instant, zone = defaultZone) {
  return `${write(instant, { timeStyle: "medium" }, zone)} ${zoneName(zone)}`;
}

/** Return a time of day: "7:30 PM". */
export function timeOfDay(instant, zone = defaultZone) {
  return write(instant, { timeStyle: "short" }, zone);
}

/** Return a date and a time with the zone: "Fri, Jan 8, 2027, 7:30 PM UTC". */
export function dateTime(instant, zone = defaultZone) {
  const date = write(instant, { year: "numeric", month: "short", day: "numeric" }, zone);
  return `${weekday(instant, zone)}, ${date}, ${timeOfDay(instant, zone)} ${zoneName(zone)}`;
}

/** Return a time of today to the second, and any other time with its date. `present` is the time now. */
export function timeOrDate(instant, zone, present) {
  const [then, today] = [instant, present].map((time) => write(time, { dateStyle: "short" }, zone));
  return then === today ? timeToTheSecond(instant, zone) : dateTime(instant, zone);
}

/** Return a day of the month: "8". */
export function day(instant, zone = defaultZone) {
  return write(instant, { day: "numeric" }, zone);
}

/** Return a short weekday: "Fri". */
export function weekday(instant, zone = defaultZone) {
  return write(instant, { weekday: "short" }, zone);
}

function write(instant, parts, zone) {
  return new Intl.DateTimeFormat(language, { ...parts, timeZone: zone }).format(new Date(instant));
}

/** Return seconds as minutes and seconds: "14:05" for 845. */
export function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Return a text with only usual spaces: browsers and the server write different kinds of space before PM. */
function withPlainSpaces(text) {
  return text.replace(/[^\S\n]/g, " ");
}

/** Set an element's text if the new text differs; with `flash`, highlight the change for a moment. */
export function setText(element, text, { flash = false } = {}) {
  if (element === null || withPlainSpaces(element.textContent) === withPlainSpaces(text)) return;
  element.textContent = text;
  if (!flash) return;
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}
