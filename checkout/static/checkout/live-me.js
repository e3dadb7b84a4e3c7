// <live-me versions="{...}">: the page My tickets, live. The server makes the page, and `versions` says which versions
// of the rows it shows. When a frame has newer versions, the page is loaded again, but only while it is visible: a hold
// that the page shows counts as looked at. Without a stream, the page asks the server regularly. It also asks as long
// as the mail with the link to a guest's tickets is not sent, because no frame tells when the mail is sent.

import { follow, now } from "realtime/live.js";
import { setText } from "shop/formats.js";
import { freshPage, pauseLeft } from "shop/fresh-page.js";
import { whileNotLive } from "shop/while-not-live.js";

class LiveMe extends HTMLElement {
  connectedCallback() {
    this.badge = this.querySelector("live-badge");
    this.poll = whileNotLive(() => this.ask());
    this.page = JSON.parse(this.getAttribute("versions"));
    this.awaitMail();
    this.see = this.see.bind(this);
    document.addEventListener("visibilitychange", this.see);
    this.stream = follow("/ws/me/", {
      onState: (mine, frame) => this.show(mine, frame),
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

  /** Ask the server for the page. Show its sentence about the mail. Without a stream, load the page again if it has
   *  other versions, or if nobody is logged in now. */
  async ask() {
    if (pauseLeft() > 0) return;
    const page = await freshPage({ within: 0 });
    if (page === null || document.hidden) return;
    const fresh = page.querySelector("live-me");
    const isLive = this.badge.dataset.status === "live"; // then a frame says what has changed
    if (!isLive && fresh?.getAttribute("versions") !== this.getAttribute("versions")) return location.reload();
    if (!isLive) this.badge.showFresh(now());
    this.showMail(fresh?.querySelector('[data-field="mail"]'));
    return undefined;
  }

  /** Show the sentence of a fresh page about the mail with the link to the tickets. Accounts have no such sentence. */
  showMail(fresh) {
    const sentence = this.querySelector('[data-field="mail"]');
    if (!sentence || !fresh) return;
    setText(sentence, fresh.textContent);
    sentence.toggleAttribute("data-waits", fresh.hasAttribute("data-waits"));
    this.awaitMail();
  }

  /** Ask regularly as long as a mail waits. */
  awaitMail() {
    const waits = this.querySelector('[data-field="mail"][data-waits]') !== null;
    this.poll.hear("mail", waits ? "waits" : "live");
  }

  /** Load the page again if a frame is newer, or is another user's, as soon as the page is visible. */
  show(mine, { stream, version }) {
    this.owner ??= stream;
    const isOther = stream !== this.owner; // another user has logged in in this browser
    if (isOther || (version > this.askedFor && this.isBehind(mine))) this.due = version;
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

  /** Return the version to assume for a reservation or an order that is not on the page. If it is too old for the page,
   *  return Infinity, so that nothing in a frame is newer. */
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
