// <hold-countdown until="...">: how long a hold lasts, by the server's clock. Sighted people see every second;
// the others are told at 5, 2 and 1 minute and at 30 seconds. At the end it says so by the event "over".

import { now } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { minutes, put, say, sayMany } from "shop/words.js";

const TOLD_AT = [300, 120, 60, 30];

class HoldCountdown extends HTMLElement {
  static observedAttributes = ["until"];

  connectedCallback() {
    this.face = document.createElement("span");
    this.face.setAttribute("aria-hidden", "true");
    this.face.className = "face";
    this.replaceChildren(this.face);
    this.tick = this.tick.bind(this);
    this.begin();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  attributeChangedCallback() {
    if (this.face) this.begin();
  }

  begin() {
    clearTimeout(this.timer);
    this.until = Date.parse(this.getAttribute("until"));
    this.previous = this.left();
    this.told = false;
    this.tick();
  }

  left() {
    return (this.until - now()) / 1000;
  }

  tick() {
    const left = this.left();
    put(this.face, minutes(left));
    const crossed = TOLD_AT.findLast((threshold) => left <= threshold && threshold < this.previous);
    if (crossed !== undefined) announce(sentence(crossed), { urgent: true });
    this.previous = left;
    this.toggleAttribute("short", left <= 120);
    this.dispatchEvent(new CustomEvent("tick", { detail: left }));
    if (left > 0) this.timer = setTimeout(this.tick, 1000 * (left % 1) + 20);
    else if (!this.told) {
      this.told = true;
      this.dispatchEvent(new CustomEvent("over"));
    }
  }
}

function sentence(seconds) {
  if (seconds < 60) return say("Your tickets are held for 30 more seconds.");
  return sayMany(
    "Your tickets are held for one more minute.", "Your tickets are held for %(n)s more minutes.", seconds / 60,
  );
}

customElements.define("hold-countdown", HoldCountdown);
