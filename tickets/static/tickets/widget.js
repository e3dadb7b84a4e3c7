// Shows how many tickets of an event are left, live, with a button that leads to the shop. It runs on pages of other
// sites, once for each event. The page has one tag at the place of the widget:
//
//   <script type="module" src="https://tickets.example.org/static/tickets/widget.js?event=12"></script>
//
// It keeps nothing in the browser, sends no cookie, and asks only the shop: for the event's public stream, or for the
// same as JSON if the socket is refused. Because of its shadow root, the page's styles do not change it.

import { follow, now } from "../realtime/live.js";

const REMOVED = 4404;
const FIRST_POLL = 2_000; // milliseconds without a socket
const POLL = 15_000;
const PATIENCE = 10_000; // for an answer
const OLD = 60_000; // after this time without news, the widget says how old its figures are
const EVENT = /\?event=\d+$/;
const FEW = 10; // as in availability-labels.js

const SHEET = `
  :where(.ticket-widget) {
    --accent: light-dark(#0d6b4c, #58c99b); --accent-ink: light-dark(#ffffff, #08231a);
  }
  .ticket-widget {
    all: initial; color-scheme: inherit; display: grid; gap: 0.25em; box-sizing: border-box; max-inline-size: 26em;
    padding: 1em 1.25em; border: 1px solid light-dark(#85897e, #757b70); border-radius: 12px;
    background: light-dark(#ffffff, #1b1e1a); color: light-dark(#1a1c18, #eceee8);
    font: 400 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums;
    overflow-wrap: anywhere;
  }
  [hidden] { display: none !important; }
  p { margin: 0; }
  .name { font-weight: 600; font-size: 1.125em; line-height: 1.25; }
  .fine { color: light-dark(#5a5e55, #a6ab9f); font-size: 0.875em; }
  .label { display: flex; align-items: baseline; gap: 0.5em; }
  .label::before { content: "●" / ""; font-size: 0.7em; color: var(--accent); }
  .label[data-tone="few"], .label[data-tone="held"], .label[data-tone="paused"], .label[data-tone="line"] {
    color: light-dark(#8f5200, #efb560);
  }
  .label:not([data-tone="open"])::before { color: inherit; }
  .label:is([data-tone="sold-out"], [data-tone="ended"])::before { content: "○" / ""; }
  a {
    justify-self: start; display: inline-flex; align-items: center; min-block-size: 2.75em; margin-block-start: 0.5em;
    padding-inline: 1.25em; border-radius: 10px; background: var(--accent); color: var(--accent-ink);
    font-weight: 600; text-decoration: none;
  }
  a:hover { filter: brightness(1.08); }
  a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  .unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
`;

/** Return functions that write texts and numbers in a language. `catalogue` has the shop's translations into it. */
export function wordsOf(language, catalogue = {}) {
  const number = (value) => new Intl.NumberFormat(language).format(value);
  const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
  const forms = new Intl.PluralRules(language);
  return {
    number,
    gettext: (text, values = {}) => fill(catalogue[text] ?? text, values),
    ngettext(one, many, n) {
      const texts = catalogue[one] ?? [one, many];
      const form = forms.resolvedOptions().pluralCategories.indexOf(forms.select(n));
      return fill(texts[Math.min(form, texts.length - 1)], { n: number(n) });
    },
    dateTime(instant, timeZone) {
      const parts = { weekday: "short", year: "numeric", month: "short", day: "numeric" };
      const zone = { hour: "numeric", minute: "2-digit", timeZone, timeZoneName: "short" };
      return new Intl.DateTimeFormat(language, { ...parts, ...zone }).format(new Date(instant));
    },
    time: (instant) => new Intl.DateTimeFormat(language, { timeStyle: "short" }).format(instant),
  };
}

/** Return the label of an event, `{tone, text}`, as the list of events shows it (`availability_labels.of_event`). */
export function labelOf({ sale, tickets, time_zone: zone }, { gettext, ngettext, number, dateTime }) {
  const inSale = tickets.filter((each) => each.sale === sale); // the ticket types in the same sale state as the event
  const [available, held] = ["available", "held"].map((name) => inSale.reduce((sum, each) => sum + each[name], 0));
  if (sale === "upcoming") {
    const opens = inSale.map((each) => each.opens_at).filter((each) => each !== null);
    const when = opens.length > 0 && dateTime(opens.sort()[0], zone);
    return { tone: "upcoming", text: when ? gettext("On sale from %(when)s", { when }) : gettext("Not on sale yet") };
  }
  if (sale === "ended") return { tone: "ended", text: gettext("Sales ended") };
  if (sale === "cancelled") return { tone: "ended", text: gettext("Cancelled") };
  if (sale === "paused") return { tone: "paused", text: gettext("Sales paused") };
  if (sale === "line") return { tone: "line", text: gettext("Through the line") };
  if (available > FEW) return { tone: "open", text: gettext("%(n)s left", { n: number(available) }) };
  if (available > 0) return { tone: "few", text: ngettext("Only %(n)s left", "Only %(n)s left", available) };
  return held > 0 ? { tone: "held", text: gettext("All reserved") } : { tone: "sold-out", text: gettext("Sold out") };
}

class Widget {
  constructor(script) {
    this.shop = new URL("/", import.meta.url);
    this.event = new URL(import.meta.url).searchParams.get("event");
    this.language = languageOf(script.closest("[lang]")?.lang || navigator.language);
    this.words = wordsOf("en");
    this.host = document.createElement("ticket-widget");
    script.after(this.host);
    this.build();
  }

  address(path) {
    return new URL(path, this.shop).href;
  }

  build() {
    const root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // the page's Content-Security-Policy does not forbid a constructed sheet
    sheet.replaceSync(SHEET);
    root.adoptedStyleSheets = [sheet];
    this.parts = {
      name: element("p", { className: "name", hidden: true }),
      when: element("p", { className: "fine", hidden: true }),
      label: element("p", { className: "label", hidden: true }),
      old: element("p", { className: "fine", hidden: true }),
      link: element("a", { href: this.address(`events/${this.event}/`), target: "_blank", rel: "noopener" }),
      said: element("p", { className: "unseen" }),
    };
    this.parts.said.setAttribute("role", "status");
    const card = element("div", { className: "ticket-widget" });
    card.append(...Object.values(this.parts));
    root.append(element("link", { rel: "stylesheet", href: this.address("look/current.css") }), card);
  }

  async begin() {
    const language = this.language.split("-")[0];
    const found = language === "en" ? {} : await this.fetched(`translations/${language}.json`);
    if (found !== null) this.words = wordsOf(this.language, found.catalog);
    this.write({ link: this.words.gettext("Get tickets") });
    this.seen = now();
    this.timer = setInterval(() => this.sayAge(), 5_000);
    try {
      const handlers = { onState: (event) => this.show(event), onStatus: (...status) => this.hear(...status) };
      this.stream = follow(this.address(`ws/events/${this.event}/`), handlers);
    } catch {
      this.hear("reconnecting"); // the page's own policy allows no socket
    }
  }

  /** Return the shop's answer, or null if there is none. The visitor's cookies are not sent. */
  async fetched(path) {
    try {
      const options = { credentials: "omit", signal: AbortSignal.timeout(PATIENCE) };
      const answer = await fetch(this.address(path), options);
      if (answer.status === 404 && path.startsWith("event/")) this.remove();
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  hear(status, code, currentAt) {
    if (this.isOver) return;
    this.seen = Math.max(this.seen, currentAt ?? this.seen);
    this.isLive = status === "live";
    if (code === REMOVED) {
      this.remove();
    } else if (this.isLive) {
      clearTimeout(this.next);
      this.next = undefined;
    } else {
      this.next ??= setTimeout(() => this.poll(), FIRST_POLL);
    }
  }

  async poll() {
    const event = document.visibilityState === "visible" ? await this.fetched(`event/events/${this.event}/`) : null;
    if (event !== null && !this.isLive) this.show(event);
    if (this.isLive || this.isOver) return;
    clearTimeout(this.next); // set if a socket came and went during this poll
    this.next = setTimeout(() => this.poll(), POLL * (0.75 + Math.random() / 2));
  }

  show(event) {
    const { gettext, dateTime } = this.words;
    const { tone, text } = labelOf(event, this.words);
    const canReserve = event.tickets.some((each) => each.sale === "open" && each.available + each.held > 0);
    const when = [dateTime(event.date, event.time_zone), event.venue].filter(Boolean).join(", ");
    const link = canReserve ? gettext("Get tickets") : gettext("See the event");
    if (this.tone !== undefined && this.tone !== tone) this.write({ said: `${event.name}: ${text}` });
    this.tone = tone;
    this.seen = now();
    this.write({ name: event.name, when, label: text, link });
    this.parts.label.dataset.tone = tone;
    this.sayAge();
  }

  /** Write the texts of parts. A part with an empty text is hidden. */
  write(texts) {
    for (const [name, text] of Object.entries(texts)) {
      this.parts[name].textContent = text;
      this.parts[name].hidden = text === "";
    }
  }

  sayAge() {
    const isOld = !this.isLive && now() - this.seen > OLD && this.tone !== undefined;
    const { gettext, time } = this.words;
    this.write({ old: isOld ? gettext("As of %(time)s", { time: time(this.seen) }) : "" });
  }

  /** Remove the widget, because the event does not exist, or no longer exists. */
  remove() {
    this.isOver = true;
    this.stream?.close();
    clearInterval(this.timer);
    clearTimeout(this.next);
    this.host.remove();
  }
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}

function languageOf(text) {
  try {
    return Intl.getCanonicalLocales(text.replace("_", "-"))[0];
  } catch {
    return "en";
  }
}

for (const script of document.querySelectorAll("script[type=module]")) {
  if (script.src === import.meta.url && EVENT.test(script.src)) void new Widget(script).begin();
}
