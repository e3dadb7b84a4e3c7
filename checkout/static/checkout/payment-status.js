// <payment-status reservation="7">: where a buyer is with a reservation, pushed. Every panel is in the page; the
// stage says which are shown. `checkout/stages.py` says the same when the page is made.

import "shop/hold-countdown.js";
import { follow, now } from "realtime/live.js";
import { allowAgain } from "shop/page.js";
import { put } from "shop/words.js";

const SLOW_AFTER = 10_000;
const EXTENSION_OFFERED = 300; // seconds before the end
const PATIENCE = 3_000; // after the end, before the page is asked for anew

function stageOf(reservation, payment) {
  const status = payment?.payment_status ?? "NOT_STARTED";
  if (reservation.state === "validated") return "paid";
  if (reservation.state === "paying") return "processing";
  if (reservation.state === "held" && Date.parse(reservation.expires_at) > now()) {
    return status === "FAILURE" ? "failed" : "held";
  }
  if (status === "REFUNDED") return "refunded";
  if (status === "PROCESSING") return "refunding";
  return reservation.state === "released" ? "released" : "expired";
}

class PaymentStatus extends HTMLElement {
  connectedCallback() {
    this.reservation = Number(this.getAttribute("reservation"));
    this.countdown = this.querySelector("hold-countdown");
    this.extension = this.querySelector(".extension");
    this.countdown.addEventListener("tick", ({ detail: left }) => {
      this.extension.hidden = left > EXTENSION_OFFERED;
    });
    this.countdown.addEventListener("over", () => setTimeout(() => this.over(), PATIENCE));
    const print = this.querySelector("[data-print]");
    print.hidden = false;
    print.addEventListener("click", () => globalThis.print());
    const badge = this.querySelector("live-badge");
    this.stream = follow("/ws/me/", {
      onState: (mine) => this.show(mine),
      onStatus: (status) => badge.show(status),
    });
    this.watchPatience(this.getAttribute("since"));
  }

  disconnectedCallback() {
    this.stream.close();
    clearTimeout(this.slow);
  }

  show({ reservations, payments }) {
    const reservation = reservations.find(({ id }) => id === this.reservation);
    if (reservation === undefined) return; // ended too long ago to be pushed
    const payment = payments.find((each) => each.reservation === this.reservation);
    this.countdown.setAttribute("until", reservation.expires_at);
    for (const field of ["error", "late-error"]) {
      const place = this.querySelector(`[data-field="${field}"]`);
      put(place, payment?.error ?? "");
      if (field === "late-error") place.hidden = !payment?.error;
    }
    if (payment?.error) put(this.querySelector('[data-field="refund"]'), payment.error);
    this.move(stageOf(reservation, payment));
    this.dispatchEvent(new CustomEvent("action", { detail: payment?.requires_action ?? null }));
  }

  move(stage) {
    if (stage === this.dataset.stage) return;
    this.dataset.stage = stage;
    for (const panel of this.querySelectorAll("[data-when]")) {
      panel.hidden = !panel.dataset.when.split(" ").includes(stage);
    }
    for (const form of this.querySelectorAll("form[data-sent]")) allowAgain(form);
    if (stage === "processing") this.watchPatience(new Date(now()).toISOString());
    this.querySelector("h1:not([hidden])").focus();
  }

  watchPatience(since) {
    clearTimeout(this.slow);
    const note = this.querySelector('[data-field="slow"]');
    if (since === null) return;
    const left = Date.parse(since) + SLOW_AFTER - now();
    note.hidden = left > 0;
    this.slow = setTimeout(() => { note.hidden = false; }, Math.max(0, left));
  }

  /** The time is over by the clock and nobody said so: the page itself knows. */
  over() {
    if (["held", "failed"].includes(this.dataset.stage) && this.countdown.left() <= 0) location.reload();
  }
}

customElements.define("payment-status", PaymentStatus);
