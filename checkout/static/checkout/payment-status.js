// <payment-status reservation="7" versions="{...}">: the stage of a reservation, live. The page has panels for every
// stage, and shows those of the present stage. `versions` says which versions of the rows the page shows, because the
// first frame may be newer or older. Without a stream, the page asks the server regularly. `action` is what the bank
// asks of the buyer, if anything: without a stream, no frame says it.

import "shop/hold-countdown.js";
import { stageOf } from "checkout/stages.js";
import { follow, now } from "realtime/live.js";
import { gettext, setText, timeToTheSecond } from "shop/formats.js";
import { freshPage, pauseLeft } from "shop/fresh-page.js";
import { enableForm, loadAnew } from "shop/page.js";
import { whileNotLive } from "shop/while-not-live.js";

const LOADED_AFTER = 3_000; // milliseconds after the end of a hold, if no frame came

class PaymentStatus extends HTMLElement {
  connectedCallback() {
    this.reservation = Number(this.getAttribute("reservation"));
    this.page = JSON.parse(this.getAttribute("versions"));
    this.lines = linesOf(Object.entries(this.page.held));
    this.errors = JSON.parse(this.getAttribute("errors")); // the sentences to show, by the English sentences in frames
    this.action = JSON.parse(this.getAttribute("action")); // kept for stripe-form.js, which starts later
    this.countdown = this.querySelector("hold-countdown");
    this.extension = this.querySelector(".extension");
    const offered = Number(this.getAttribute("extension-offered"));
    this.countdown.addEventListener("tick", ({ detail: left }) => {
      this.extension.hidden = left > offered;
    });
    this.countdown.addEventListener("expired", () => setTimeout(() => this.expire(), LOADED_AFTER));
    const print = this.querySelector("[data-print]");
    print.hidden = false;
    print.addEventListener("click", () => globalThis.print());
    this.badge = this.querySelector("live-badge");
    this.poll = whileNotLive(() => this.ask());
    this.stream = follow("/ws/me/", {
      onState: (mine, { stream }) => {
        this.owner ??= stream;
        if (stream === this.owner) this.show(mine);
        else loadAnew(); // another user has logged in in this browser
      },
      onStatus: (status, _code, currentAt) => {
        this.badge.show(status, currentAt);
        this.poll.hear("me", status);
      },
    });
    this.waitForSlow(this.getAttribute("since"));
  }

  disconnectedCallback() {
    this.stream.close();
    this.poll.stop();
    clearTimeout(this.slow);
  }

  /** Load the page anew if the server's page has another stage or other versions, or if nobody is logged in now. */
  async ask() {
    if (pauseLeft() > 0) return;
    const page = await freshPage({ within: 0 });
    if (page === null || document.hidden || this.badge.dataset.status === "live") return;
    const fresh = page.querySelector("payment-status");
    const isSame = fresh?.getAttribute("versions") === this.getAttribute("versions");
    if (isSame && fresh.dataset.stage === this.dataset.stage) this.badge.showFresh(now());
    else loadAnew({ keeps: true });
  }

  show({ reservations, payments }) {
    const reservation = reservations.find(({ id }) => id === this.reservation);
    if (reservation === undefined) return; // it ended too long ago to be in the frame
    if (this.changed(reservations, reservation)) return loadAnew({ keeps: true });
    const payment = payments.find((each) => each.reservation === reservation.order);
    const error = this.errors[payment?.error] ?? payment?.error ?? "";
    this.countdown.setAttribute("until", reservation.expires_at);
    const time = timeToTheSecond(reservation.expires_at, this.getAttribute("zone"));
    setText(this.querySelector('[data-field="until"]'), gettext("until %(time)s", { time }));
    for (const field of ["error", "late-error"]) {
      const place = this.querySelector(`[data-field="${field}"]`);
      setText(place, error);
      if (field === "late-error") place.hidden = error === "";
    }
    this.querySelector('[data-field="uncharged"]').hidden = error !== "";
    if (error !== "") setText(this.querySelector('[data-field="refund"]'), error);
    const stage = stageOf(reservation, payment, now());
    // Only a refund changes a payment that stays paid, and the page says how much was refunded.
    const isNew = this.isNew(payment, reservation);
    if (isNew && stage === "paid" && this.dataset.stage === "paid") return loadAnew();
    this.showStage(stage);
    this.action = payment?.requires_action ?? null;
    this.dispatchEvent(new CustomEvent("action"));
    return undefined;
  }

  /** Return whether an order has other holds than on the page or in the last frame, so that the server has to make the
   *  page again. Return false if there are no holds now, or were none before: then only the stage differs. Remember the
   *  present holds. */
  changed(reservations, { order }) {
    const own = reservations.filter((each) => each.order === order);
    const isNewer = own.some(({ id, version }) => version > (this.page.reservations[id] ?? 0));
    const before = this.lines;
    this.lines = linesOf(own.filter(({ state }) => state === "held").map(({ id, amount }) => [id, amount]));
    return isNewer && before !== this.lines && this.lines !== "" && before !== "";
  }

  /** Return whether this payment is newer than the one on the page or in an earlier frame, and remember it. */
  isNew(payment, { order }) {
    if (payment === undefined) return false;
    const [id, version] = this.payment ?? this.page.payments[order] ?? [0, 0];
    const isNew = payment.id > id || (payment.id === id && payment.version > version);
    if (isNew) this.payment = [payment.id, payment.version];
    return isNew;
  }

  showStage(stage) {
    if (stage === this.dataset.stage) return;
    this.dataset.stage = stage;
    for (const panel of this.querySelectorAll("[data-when]")) {
      panel.hidden = !panel.dataset.when.split(" ").includes(stage);
    }
    for (const form of this.querySelectorAll("form[data-submitted]")) enableForm(form);
    if (stage === "processing") this.waitForSlow(new Date(now()).toISOString());
    this.querySelector("h1:not([hidden])").focus();
  }

  /** Show the note about slow payments when the payment has taken longer than the attribute `slow-after` says. `since`
   *  is the time at which the payment began, an ISO text; null if it has not begun. */
  waitForSlow(since) {
    clearTimeout(this.slow);
    if (since === null) return;
    const note = this.querySelector('[data-field="slow"]');
    const left = Date.parse(since) + Number(this.getAttribute("slow-after")) * 1000 - now();
    note.hidden = left > 0;
    this.slow = setTimeout(() => { note.hidden = false; }, Math.max(0, left));
  }

  /** Load the page anew if the hold has ended by the clock, but no frame has said so. */
  expire() {
    if (["held", "failed", "unanswered"].includes(this.dataset.stage) && this.countdown.left() <= 0) loadAnew();
  }
}

/** Return the lines of an order as one text, from the id and the number of tickets of each. */
function linesOf(amounts) {
  return amounts.map(([id, amount]) => `${id}:${amount}`).sort().join();
}

customElements.define("payment-status", PaymentStatus);
