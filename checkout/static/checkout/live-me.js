// <live-me versions="{...}">: My tickets, live. The server makes the page, and says which versions it shows. When a
// frame has newer ones, the page is loaded again, but only while it is visible, because a hold that is shown counts as
// looked at.

import { follow } from "realtime/live.js";

class LiveMe extends HTMLElement {
  connectedCallback() {
    const badge = this.querySelector("live-badge");
    this.page = JSON.parse(this.getAttribute("versions"));
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    this.stream = follow("/ws/me/", {
      onState: (mine, { version }) => this.show(mine, version),
      onStatus: (status) => badge.show(status),
    });
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.see);
    this.stream.close();
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
