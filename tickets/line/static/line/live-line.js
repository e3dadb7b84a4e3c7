// <live-line event="12" number="7" place="3" state="waiting">: the page of a line, live. One public stream says how far
// the line is, and each browser computes its own place from it. Changes of the buyer's own tickets come on /ws/me/. The
// page then loads the turn from the server, which counts as a look at the tickets. A hidden page waits until it is
// visible.

import { placeOf } from "line/draw.js";
import { endedText, peopleAhead, reasonText, secondsToWait, waitingText, waitText } from "line/line-labels.js";
import { follow, now } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { gettext, setText } from "shop/formats.js";
import { freshPage } from "shop/fresh-page.js";

const CROWD = 3_000; // milliseconds over which the requests of many people's pages are spread
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds that a browser's timer can wait
const AWAY = 60_000; // a page that was hidden for longer asks the server again
const TOLERATED = 15; // seconds by which the wait may grow, beyond TOLERATED_SHARE, before the shown time rises
const TOLERATED_SHARE = 1.2;

class LiveLine extends HTMLElement {
  connectedCallback() {
    this.event = Number(this.getAttribute("event"));
    this.title = document.title;
    this.seconds = null;
    this.read(this);
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    const badge = this.querySelector("live-badge");
    this.streams = [
      follow(`/ws/line/${this.event}/`, {
        onState: (line) => this.show(line),
        onStatus: (status) => badge.show(status),
      }),
    ];
    if (this.hasAttribute("number")) {
      this.streams.push(follow("/ws/me/", { onState: ({ reservations }) => this.showOwn(reservations) }));
    }
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.see);
    clearTimeout(this.ending);
    for (const stream of this.streams) stream.close();
  }

  /** Take from the server's page what it says of this person. */
  read(page) {
    const number = (name) => (page.hasAttribute(name) ? Number(page.getAttribute(name)) : null);
    this.number = number("number");
    this.place = number("place");
    this.state = page.getAttribute("state");
    this.phase = page.getAttribute("phase");
    this.hasEnded = page.hasAttribute("ended");
    this.live = page.getAttribute("reservations");
  }

  async show(line) {
    this.line = line;
    this.showMessage(line.message);
    this.showEnd();
    if (this.state !== "waiting") {
      if (line.phase !== this.phase) this.renew(CROWD);
      return;
    }
    if (this.place === null && line.seed !== null) await this.computePlace();
    if (this.state !== "waiting") return; // it has changed meanwhile
    this.showPlace();
    if (this.place !== null && this.place <= line.served && !this.isServed) {
      this.isServed = true;
      this.renew(CROWD); // the turn came: with tickets, or with none of what is wished
    }
  }

  /** Say that the sale has ended, if it has. Staff may let it go on again. */
  showEnd() {
    this.awaitEnd();
    const hasEnded = this.line.cancelled || this.secondsOfSale() <= 0;
    if (hasEnded === this.hasEnded) return;
    this.hasEnded = hasEnded;
    if (hasEnded && this.state === "waiting") this.showEnded(this.line.cancelled);
    else this.renew(hasEnded ? AWAY : CROWD);
  }

  secondsOfSale() {
    return this.line.closes_at === null ? Infinity : (Date.parse(this.line.closes_at) - now()) / 1000;
  }

  awaitEnd() {
    clearTimeout(this.ending);
    const left = Math.max(0, this.secondsOfSale() * 1000) + 50;
    if (!this.hasEnded && left < LONGEST_TIMER) this.ending = setTimeout(() => this.show(this.line), left);
  }

  /** Replace the waiting person's page by the one that the server shows at the end of the sale. */
  showEnded(isCancelled) {
    this.state = "ended";
    const [title, lead] = [document.createElement("h1"), document.createElement("p")];
    setText(title, gettext("Ticket sales have ended"));
    lead.className = "lead";
    setText(lead, endedText(isCancelled));
    this.querySelector("[data-part=status]").replaceChildren(title, lead);
    for (const form of this.querySelectorAll("form[data-part]")) form.hidden = true;
    announce(`${title.textContent}. ${lead.textContent}`, { urgent: true });
  }

  async computePlace() {
    const { seed, digest, drawn, public_value: value } = this.line;
    this.computing ??= placeOf(seed, digest, drawn, this.number, value);
    this.place = await this.computing;
    if (this.place === null) this.renew(CROWD);
  }

  showPlace() {
    const lead = this.querySelector('[data-field="place"]');
    const reason = this.querySelector('[data-field="reason"]');
    const [before, because] = [lead.textContent, reason.textContent];
    setText(lead, waitingText(this.line, this.place, this.getAttribute("zone")));
    this.showTime();
    if (lead.textContent !== before || reason.textContent !== because) {
      announce([lead, this.time(), reason].map(({ textContent }) => textContent).join(" "));
    }
  }

  time() {
    return this.querySelector('[data-field="time"]');
  }

  /** Show the waiting time at the measured pace. It falls with each frame. When it rises, the reason is shown too. */
  showTime() {
    const { served, per_minute: pace, held, standing } = this.line;
    const isAhead = this.place !== null && this.place > served;
    const seconds = isAhead && !held && !standing ? secondsToWait(peopleAhead(this.place, served), pace) : null;
    const hasRisen = this.seconds !== null && seconds > this.seconds * TOLERATED_SHARE + TOLERATED;
    if (hasRisen) this.slowUntil = performance.now() + AWAY;
    if (this.seconds === null || seconds === null || seconds <= this.seconds || hasRisen) this.seconds = seconds;
    setText(this.time(), waitText(this.seconds));
    const isSlow = seconds !== null && performance.now() < (this.slowUntil ?? 0);
    const slower = isSlow ? gettext("The line is slower than before, so the time is longer.") : "";
    setText(this.querySelector('[data-field="reason"]'), (isAhead && reasonText(this.line)) || slower);
  }

  /** Show the message of staff to all who wait. */
  showMessage(text) {
    const message = this.querySelector('[data-field="message"]');
    if (message.textContent === text) return;
    setText(message, text);
    if (text) announce(text, { urgent: true });
  }

  /** Notice that tickets were given to this person, or that a hold has ended. */
  showOwn(reservations) {
    const mine = reservations.filter(({ event, state }) => event === this.event && ["held", "paying"].includes(state));
    const live = mine.map(({ id }) => id).sort((one, other) => one - other).join(" ");
    if (live === this.live) return;
    if (live !== "" && this.state === "waiting") {
      document.title = `${gettext("It is your turn")} · ${this.title}`;
      announce(gettext("It is your turn. Your tickets are on hold."), { urgent: true });
    }
    this.live = live;
    this.renew(0);
  }

  /** Show the server's page as soon as this page is visible; load it again if something changed meanwhile. */
  async renew(within) {
    this.isDue = true;
    if (this.isRenewing) return;
    this.isRenewing = true;
    while (this.isDue && !document.hidden) {
      this.isDue = false;
      const page = await freshPage({ within });
      if (page?.querySelector("live-line") && !document.hidden) this.take(page);
      else {
        this.isDue = true;
        await new Promise((resolve) => { setTimeout(resolve, CROWD); });
      }
    }
    this.isRenewing = false;
  }

  take(page) {
    const fresh = page.querySelector("live-line").cloneNode(true); // other calls may share the page
    if (fresh.getAttribute("state") !== this.state) document.title = page.title;
    this.read(fresh);
    this.computing = undefined;
    this.querySelector("[data-part=status]").replaceWith(fresh.querySelector("[data-part=status]"));
    this.takeForms(fresh);
    if (this.line) this.awaitEnd();
    if (this.line && this.state === "waiting") this.showPlace();
  }

  /** Show the forms of the server's page. Those that are here keep what somebody has typed. */
  takeForms(fresh) {
    const part = (form) => `form[data-part="${form.dataset.part}"]`;
    for (const form of this.querySelectorAll("form[data-part]")) {
      const now = fresh.querySelector(part(form));
      form.hidden = now?.hidden ?? true;
      if (now) form.querySelector("[type=submit]").textContent = now.querySelector("[type=submit]").textContent;
    }
    for (const form of fresh.querySelectorAll("form[data-part]")) {
      if (!this.querySelector(part(form))) this.append(form);
    }
  }

  see() {
    if (document.hidden) this.hiddenAt = performance.now();
    else if (this.isDue || performance.now() - (this.hiddenAt ?? Infinity) > AWAY) this.renew(0);
  }
}

customElements.define("live-line", LiveLine);
