// <hold-countdown until="...">: shows the time that is left of a hold, by the server's clock. The display changes every
// second; screen readers announce it at 5, 2 and 1 minutes and at 30 seconds, unless a part of the page that contains
// the element is hidden: the hold is paid then, or has ended. The element dispatches the event "tick" each second with
// the seconds left, and the event "expired" when no time is left.

import { now } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { duration, gettext, ngettext, setText } from "shop/formats.js";

const ANNOUNCED_AT = [300, 120, 60, 30]; // seconds left
const SHORT = 120; // seconds left; from then on the element has the attribute "short"

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
    this.hasExpired = false;
    this.tick();
  }

  left() {
    return (this.until - now()) / 1000;
  }

  tick() {
    const left = this.left();
    setText(this.face, duration(left));
    const crossed = ANNOUNCED_AT.findLast((threshold) => left <= threshold && threshold < this.previous);
    const isShown = this.closest("[hidden]") === null;
    if (crossed !== undefined && isShown) announce(sentence(crossed), { urgent: true });
    this.previous = left;
    this.toggleAttribute("short", left <= SHORT);
    this.dispatchEvent(new CustomEvent("tick", { detail: left }));
    if (left > 0) this.timer = setTimeout(this.tick, 1000 * (left % 1) + 20);
    else if (!this.hasExpired) {
      this.hasExpired = true;
      this.dispatchEvent(new CustomEvent("expired"));
    }
  }
}

function sentence(seconds) {
  if (seconds < 60) return gettext("Your reservation expires in 30 seconds.");
  return ngettext("Your reservation expires in one minute.", "Your reservation expires in %(n)s minutes.", seconds / 60);
}

customElements.define("hold-countdown", HoldCountdown);
