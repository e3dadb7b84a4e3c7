// Lets only one page of this browser work as a gate at a time. The pages share the kept scans and the list. If two
// pages worked, both could let in the same ticket, and one could send a scan that the other has undone. The page that
// somebody sees works: a page that is opened, shown or pressed takes over, and the others rest.

import { recall, remember } from "admission/door-store.js";

const WORKING = "door-page"; // the name under which the browser keeps which page works

export class OnePage {
  /** `onWork()` is called when this page takes over, `onRest()` when another page has taken over. */
  constructor({ onWork, onRest }) {
    Object.assign(this, { onWork, onRest });
    this.id = String(Math.random());
    this.isResting = false;
    this.controller = new AbortController();
  }

  begin() {
    const { signal } = this.controller;
    window.addEventListener("storage", () => this.check(), { signal });
    for (const [target, name] of [[window, "focus"], [window, "pageshow"], [document, "visibilitychange"]]) {
      target.addEventListener(name, () => !document.hidden && this.takeOver(), { signal });
    }
    if (document.hidden) this.rest();
    else this.claim();
  }

  end() {
    this.controller.abort();
  }

  /** Write into localStorage that this page works. In a browser that keeps nothing, all pages work. */
  claim() {
    remember(WORKING, this.id);
    this.isKept = recall(WORKING) === this.id;
  }

  /** Rest if another page works now; return whether this page works. */
  check() {
    if (!this.isResting && this.isKept && (recall(WORKING) ?? this.id) !== this.id) this.rest();
    return !this.isResting;
  }

  rest() {
    this.isResting = true;
    this.onRest();
  }

  /** Let this page work instead of the others, unless it works already. */
  async takeOver() {
    if (this.check()) return;
    this.isResting = false;
    this.claim();
    await this.onWork();
  }
}
