// <live-me versions="{...}">: the page My tickets, live. The server makes the page, and `versions` says which versions
// of the rows it shows. When a frame has newer versions, the page is loaded again, but only while it is visible: a hold
// that the page shows counts as looked at. Without a stream, the page asks the server regularly.

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

  /** Load the page again if the server's page has other versions, or if nobody is logged in now. */
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

  /** The version of the frame for which the page was last loaded, so that the same frame does not load it twice. */
  get askedFor() {
    return history.state?.askedFor ?? -1;
  }

  /** Return whether a frame has something newer than the page. The first frame may be older than the page. */
  isBehind({ reservations, payments }) {
    const isNew = ({ id, version }) => version > (this.page.reservations[id] ?? this.unknown(id));
    const isNewPayment = ({ id, version, reservation: order }) => {
      const [known, its] = this.page.payments[order] ?? [this.unknown(order), 0];
      return id > known || (id === known && version > its);
    };
    return reservations.some(isNew) || payments.some(isNewPayment);
  }

  /** Return the version to assume for a reservation that the page lacks: the highest, if it is too old for the page. */
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
