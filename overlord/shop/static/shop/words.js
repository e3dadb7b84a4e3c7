// Text, money and times in the page's language. The catalogue comes from Django (`words.js` of the site).

const catalogue = globalThis.django ?? {};
const language = document.documentElement.lang || "en";
const zone = "UTC";

/** Will translate, and fill `%(name)s` in. */
export function say(text, values = {}) {
  return fill(catalogue.gettext ? catalogue.gettext(text) : text, values);
}

/** Will translate what depends on a number `n`, and fill in. */
export function sayMany(one, many, n, values = {}) {
  const text = catalogue.ngettext ? catalogue.ngettext(one, many, n) : n === 1 ? one : many;
  return fill(text, { n: number(n), ...values });
}

function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
}

export function number(value) {
  return new Intl.NumberFormat(language).format(value);
}

/** Will write a decimal string of a currency. */
export function money(amount, currency) {
  return new Intl.NumberFormat(language, { style: "currency", currency }).format(amount);
}

/** Will multiply a decimal string by a whole number, exactly. */
export function times(amount, count) {
  const [whole, part = ""] = amount.split(".");
  const minor = String(BigInt(whole + part) * BigInt(count)).padStart(part.length + 1, "0");
  return part ? `${minor.slice(0, -part.length)}.${minor.slice(-part.length)}` : minor;
}

/** Will write a time of day to the second. */
export function clock(instant) {
  const parts = { hour: "numeric", minute: "2-digit", second: "2-digit", timeZone: zone };
  return `${new Intl.DateTimeFormat(language, parts).format(new Date(instant))} ${zone}`;
}

/** Will write a time of day: 7:30 PM. */
export function timeOfDay(instant) {
  const parts = { hour: "numeric", minute: "2-digit", timeZone: zone };
  return new Intl.DateTimeFormat(language, parts).format(new Date(instant));
}

/** Will write a day and a time. */
export function moment(instant) {
  const parts = {
    weekday: "short", year: "numeric", month: "short", day: "numeric",
    hour: "numeric", minute: "2-digit", timeZone: zone,
  };
  return `${new Intl.DateTimeFormat(language, parts).format(new Date(instant))} ${zone}`;
}

/** Will write seconds as minutes and seconds: 14:05. */
export function minutes(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Browsers and servers disagree about which space stands before PM. */
function plain(text) {
  return text.replace(/\s/g, " ");
}

/** Will set a text only where it differs, and show for a moment that it did. */
export function put(element, text, { flash = false } = {}) {
  if (element === null || plain(element.textContent) === plain(text)) return;
  element.textContent = text;
  if (!flash) return;
  element.classList.remove("changed");
  void element.offsetWidth; // so that the animation begins anew
  element.classList.add("changed");
}
