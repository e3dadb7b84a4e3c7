// <live-me versions="{...}">: My tickets, live. The server makes the page, and says which versions it shows. When a
// frame has newer ones, the page is loaded again, but only while it is visible, because a hold that is shown counts as
// looked at. Without a stream, the page asks the server regularly.

import { follow, now } from "realtime/live.js";
import { freshPage, pauseLeft } from "shop/fresh-page.js";
import { whileNotLive } from "shop/while-not-live.js";

class LiveMe extends HTMLElement {
  connectedCallback() {
    this.badge = this.querySelector("live-badge");
    this.poll = whileNotLive(() => this.ask());
    this.page = JSON.parse(this.getAttribute("versions"));
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    this.stream = follow("/ws/me/", {
      onState: (mine, { version }) => this.show(mine, version),
      onStatus: (status, _code, currentAt) => {
        this.badge.show(status, currentAt);
        this.poll.hear("me", status);
      },
    });
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.see);
    this.stream.close();
    this.poll.stop();
  }

  /** Load the page again if the server's has other versions, or if nobody is logged in now. */
  async ask() {
    if (pauseLeft() > 0) return;
    const page = await freshPage({ within: 0 });
    if (page === null || document.hidden || this.badge.dataset.status === "live") return;
    const fresh = page.querySelector("live-me");
    if (fresh?.getAttribute("versions") !== this.getAttribute("versions")) location.reload();
    else this.badge.showFresh(now());
  }

  show(frame, version) {
    if (version > this.askedFor && this.isBehind(frame)) this.due = version;
    this.see();
  }

  /** The version for which the page was loaded last. The same frame again may have what no longer exists. */
  get askedFor() {
    return history.state?.askedFor ?? -1;
  }

  /** Return whether a frame has something newer than the page. The first may be older, or newer than it. */
  isBehind({ reservations, payments }) {
    const isNew = ({ id, version }) => version > (this.page.reservations[id] ?? this.unknown(id));
    const isNewPayment = ({ id, version, reservation: order }) => {
      const [known, its] = this.page.payments[order] ?? [this.unknown(order), 0];
      return id > known || (id === known && version > its);
    };
    return reservations.some(isNew) || payments.some(isNewPayment);
  }

  /** Return what stands for a reservation that the page does not have: nothing newer, if it is too old for the page. */
  unknown(id) {
    return id > this.page.left_out ? 0 : Infinity;
  }

  see() {
    if (this.due === undefined || document.hidden) return;
    history.replaceState({ ...history.state, askedFor: this.due }, "");
    location.reload();
  }
}

customElements.define("live-me", LiveMe);
