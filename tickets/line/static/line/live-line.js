// <live-line event="12" number="7" place="3" state="waiting">: the page of a line, live. One public stream says how far
// the line is, and each browser computes its own place from it. Changes of the buyer's own tickets come on /ws/me/.
// Then the page is fetched from the server, which counts as a look at the given tickets. A hidden page waits until it
// is visible. A page does not ask the server for anything that a frame says, because thousands of pages get the same
// frame at once.

import { placeOf } from "line/draw.js";
import {
  drawText, endedText, peopleAhead, reasonText, secondsToWait, waitingText, waitText,
} from "line/line-labels.js";
import { follow, now } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { isShown, keepFocus } from "shop/focus.js";
import { gettext, setText } from "shop/formats.js";
import { freshPage, pauseLeft } from "shop/fresh-page.js";
import { loadAnew } from "shop/page.js";
import { whileNotLive } from "shop/while-not-live.js";

const REMOVED = 4404;
const SOON = 3_000; // milliseconds over which requests are spread if few people make them
const EACH = 10; // milliseconds for each entry, over which requests are spread if all people in the line make them
const LIVE = ["held", "paying"]; // states of live reservations
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds that a browser's timer can wait
// A page that was hidden for longer asks the server again. A page says for as long that the line is slower.
const AWAY = 60_000;
// The shown time rises only if the wait is longer than the shown time multiplied by TOLERATED_SHARE, plus TOLERATED.
const TOLERATED = 15; // seconds
const TOLERATED_SHARE = 1.2;

class LiveLine extends HTMLElement {
  connectedCallback() {
    this.event = Number(this.getAttribute("event"));
    this.title = document.title;
    this.seconds = null;
    this.people = 0; // the most entries that the line had
    this.dueAt = Infinity; // when to fetch the server's page
    this.own = null; // the stream of the buyer's tickets
    this.badge = this.querySelector("live-badge");
    this.poll = whileNotLive(() => this.renew(0));
    this.read(this);
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    this.stream = follow(`/ws/line/${this.event}/`, {
      onState: (line) => this.show(line),
      onStatus: (...said) => this.hear(...said),
    });
    this.followOwn();
  }

  disconnectedCallback() {
    this.end();
  }

  end() {
    document.removeEventListener("visibilitychange", this.see);
    this.stream?.close();
    this.own?.close();
    this.poll.stop();
    clearTimeout(this.ending);
    clearTimeout(this.renewing);
  }

  hear(status, code, currentAt) {
    this.status = status;
    this.badge.show(status, currentAt, "line");
    this.poll.hear("line", status);
    if (code === REMOVED) this.showRemoved();
    if (status === "live" && this.line) this.awaitEnd();
  }

  /** Follow the buyer's own tickets as long as the buyer has an entry. */
  followOwn() {
    if (this.number !== null) {
      this.own ??= follow("/ws/me/", {
        onState: ({ reservations }, { stream }) => {
          if (stream !== (this.owner ?? stream)) this.renew(0); // another user has logged in in this browser
          this.owner = stream;
          this.showOwn(reservations);
        },
        onStatus: (status, _code, currentAt) => {
          this.badge.show(status, currentAt, "own");
          this.poll.hear("own", status);
        },
      });
      return;
    }
    this.own?.close();
    this.own = null;
    this.badge.forget("own");
    this.poll.forget("own");
  }

  /** Return whether the public stream is live, so that its last frame is true now. */
  get isLive() {
    return this.status === "live";
  }

  /** Read from the server's page what it says about this person. */
  read(page) {
    const number = (name) => (page.hasAttribute(name) ? Number(page.getAttribute(name)) : null);
    this.number = number("number");
    this.place = number("place");
    this.isServed = this.place !== null && this.place <= number("served");
    this.state = page.getAttribute("state");
    this.hasEnded = page.hasAttribute("ended");
    this.phase = this.hasEnded ? "ended" : page.getAttribute("phase");
    this.live = page.getAttribute("reservations");
  }

  async show(line) {
    this.line = line;
    this.people = Math.max(this.people, line.entries);
    this.showMessage(line.message);
    if (line.phase === "closed" && !["closed", "ended"].includes(this.phase)) {
      this.renew(this.longest()); // staff let the event open directly
      return;
    }
    this.showEnd();
    if (this.state !== "waiting") {
      this.showPhase();
      return;
    }
    if (this.place === null && line.seed !== null) await this.computePlace();
    if (this.state !== "waiting") return; // it has changed meanwhile
    this.showPlace();
    if (this.place !== null && this.place <= line.served && !this.isServed) {
      this.isServed = true; // only the server's page says whether this entry was passed by
      this.renew(this.hasOwn ? SOON : this.longest());
    }
  }

  /** Return over how many milliseconds to spread requests that all people in the line make. */
  longest() {
    return Math.max(SOON, this.people * EACH);
  }

  /** Show the panels of the line's phase to people who do not wait. People with tickets see no such panel. */
  showPhase() {
    const phase = this.hasEnded ? "ended" : this.line.phase;
    const panels = [...this.querySelectorAll("[data-when]")];
    if (panels.length === 0) return;
    setText(this.querySelector('[data-when="lobby"]'), drawText(this.line, this.getAttribute("zone")));
    if (phase === this.phase) return;
    this.phase = phase;
    const [code, enter] = ["code", "enter"].map((part) => this.querySelector(`form[data-part=${part}]`));
    this.keepFocus(() => {
      for (const panel of panels) panel.hidden = !panel.dataset.when.split(" ").includes(phase);
      (code ?? enter).hidden = ["closed", "ended"].includes(phase);
    });
    const said = this.querySelectorAll("div[data-when]:not([hidden]) > :is(h1, .lead):not([hidden])");
    announce([...said].map(({ textContent }) => textContent).join(". "));
  }

  /** Show that the sale has ended, if it has. Staff may let the sale continue later. */
  showEnd() {
    this.awaitEnd();
    const hasEnded = this.line.cancelled || this.secondsOfSale() <= 0;
    if (hasEnded === this.hasEnded) return;
    this.hasEnded = hasEnded;
    if (hasEnded && this.state === "waiting") this.showEnded(this.line.cancelled);
    else if (this.state === "ended" || (this.state === "given" && this.line.cancelled)) this.renew(this.longest());
  }

  secondsOfSale() {
    return this.line.closes_at === null ? Infinity : (Date.parse(this.line.closes_at) - now()) / 1000;
  }

  awaitEnd() {
    clearTimeout(this.ending);
    const left = Math.max(0, this.secondsOfSale() * 1000) + 50;
    if (this.hasEnded || left >= LONGEST_TIMER) return;
    this.ending = setTimeout(() => { if (this.isLive) this.show(this.line); }, left);
  }

  /** Show to a person who waits what the server's page shows after the end of the sale. */
  showEnded(isCancelled) {
    this.state = "ended";
    this.showOver(gettext("Ticket sales have ended"), endedText(isCancelled), { mayLeave: true });
  }

  /** Show that the event was deleted, together with its line. */
  showRemoved() {
    this.end();
    this.state = "removed";
    this.showOver(gettext("This event is no longer available."), "");
  }

  showOver(title, text, { mayLeave = false } = {}) {
    const [heading, lead] = [document.createElement("h1"), document.createElement("p")];
    setText(heading, title);
    lead.className = "lead";
    setText(lead, text);
    this.keepFocus(() => {
      this.querySelector("[data-part=status]").replaceChildren(heading, lead);
      for (const form of this.querySelectorAll("form[data-part]")) {
        form.hidden = !(mayLeave && form.dataset.part === "leave");
      }
    });
    announce(`${title} ${text}`, { urgent: true });
  }

  async computePlace() {
    const { seed, digest, drawn, public_value: value } = this.line;
    const isFirst = this.computing === undefined;
    this.computing ??= placeOf(seed, digest, drawn, this.number, value);
    this.place = await this.computing;
    if (this.place === null && isFirst) this.renew(this.longest()); // this browser cannot compute it
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

  /** Show the waiting time at the line's pace. A small rise is not shown, and a large rise is shown with its reason. */
  showTime() {
    const { served, per_minute: pace, held, standing } = this.line;
    const isAhead = this.place !== null && this.place > served;
    const seconds = isAhead && !held && !standing ? secondsToWait(peopleAhead(this.place, served), pace) : null;
    const hasRisen = this.seconds !== null && seconds > this.seconds * TOLERATED_SHARE + TOLERATED;
    if (hasRisen) this.slowUntil = performance.now() + AWAY;
    if (this.seconds === null || seconds === null || seconds <= this.seconds || hasRisen) this.seconds = seconds;
    setText(this.time(), waitText(this.seconds));
    const isSlow = seconds !== null && performance.now() < (this.slowUntil ?? 0);
    const slower = isSlow ? gettext("The line is slower than before, so you wait longer.") : "";
    setText(this.querySelector('[data-field="reason"]'), (isAhead && reasonText(this.line)) || slower);
  }

  /** Show the message of staff to all who wait. */
  showMessage(text) {
    const message = this.querySelector('[data-field="message"]');
    if (message.textContent === text) return;
    setText(message, text);
    if (text) announce(text, { urgent: true });
  }

  /** Fetch the page if tickets were given to this person, or if a hold has ended. `reservations` has also those that
   *  ended in the last minutes. */
  showOwn(reservations) {
    const mine = reservations.filter(({ event }) => event === this.event);
    this.hasOwn = mine.length > 0; // also what has ended: the turn may have passed while the computer slept
    if (this.hasOwn && this.dueAt < Infinity) this.renew(SOON);
    const ids = mine.filter(({ state }) => LIVE.includes(state)).map(({ id }) => id);
    const live = ids.sort((one, other) => one - other).join(" ");
    if (live === this.live) return;
    if (live !== "" && this.state === "waiting") {
      document.title = `${gettext("It is your turn")} · ${this.title}`;
      announce(gettext("It is your turn. Your tickets are reserved."), { urgent: true });
    }
    this.live = live;
    this.renew(0);
  }

  /** Fetch the server's page within this many milliseconds, or later, as soon as this page is visible. */
  renew(within) {
    this.dueAt = Math.min(this.dueAt, performance.now() + Math.random() * within);
    this.awaitRenewal();
  }

  awaitRenewal() {
    clearTimeout(this.renewing);
    if (this.dueAt === Infinity || this.isLoading || document.hidden) return;
    const left = Math.max(this.dueAt - performance.now(), pauseLeft());
    this.renewing = setTimeout(() => this.load(), Math.max(0, left));
  }

  async load() {
    if (document.hidden) return; // `see` continues when the page is visible
    this.isLoading = true;
    this.dueAt = Infinity; // a change from now on needs another fetch
    const page = await freshPage({ within: 0 });
    this.isLoading = false;
    if (!this.isConnected || this.state === "removed") return;
    if (page === null || document.hidden) this.renew(0);
    else if (page.querySelector("live-line")) this.take(page);
    else loadAnew(); // this address leads to another page now
    this.awaitRenewal();
  }

  take(page) {
    const fresh = page.querySelector("live-line");
    if (this.dueAt === Infinity) document.title = page.title; // otherwise the present title may be newer
    this.read(fresh);
    this.computing = undefined;
    this.keepFocus(() => {
      this.querySelector("[data-part=status]").replaceWith(fresh.querySelector("[data-part=status]"));
      this.takeForms(fresh);
    });
    this.badge.showFresh(now());
    this.followOwn();
    if (!this.isLive) this.showMessage(fresh.querySelector('[data-field="message"]').textContent);
    else if (this.line) {
      this.awaitEnd();
      if (this.state === "waiting") this.showPlace();
      else this.showPhase();
    }
  }

  /** Show the forms of the server's page. Forms that are on this page already keep the text that somebody has typed. */
  takeForms(fresh) {
    const part = (form) => `form[data-part="${form.dataset.part}"]`;
    for (const form of this.querySelectorAll("form[data-part]")) {
      const other = fresh.querySelector(part(form));
      if (other === null) {
        form.remove();
        continue;
      }
      form.hidden = other.hidden;
      for (const { name, value } of other.querySelectorAll("input[type=hidden]")) {
        if (form.elements[name]) form.elements[name].value = value; // the entry that the page shows now
      }
      form.querySelector("[type=submit]").textContent = other.querySelector("[type=submit]").textContent;
    }
    for (const form of fresh.querySelectorAll("form[data-part]")) {
      if (!this.querySelector(part(form))) this.append(form);
    }
  }

  /** Do `change`, and keep the focus on the page: on its heading, if what had the focus is gone. */
  keepFocus(change) {
    keepFocus(this, change, () => [...this.querySelectorAll("h1")].find(isShown));
  }

  see() {
    if (document.hidden) this.hiddenAt = performance.now();
    else if (performance.now() - (this.hiddenAt ?? Infinity) > AWAY) this.renew(0);
    else this.awaitRenewal();
  }
}

customElements.define("live-line", LiveLine);
