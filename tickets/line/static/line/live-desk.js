// <live-desk event="12">: the desk of a line. Its parts are taken from the server's page when the line has changed,
// and regularly while its stream is not live. The stream is public and the page is not, so the page may be refused
// while the stream is live. A form in which somebody writes stays as it is. It also contains the value that it would
// replace, and the server refuses the form if this value has changed meanwhile.

import { follow, now } from "realtime/live.js";
import { freshPage } from "shop/fresh-page.js";
import { loadAnew } from "shop/page.js";
import { whileNotLive } from "shop/while-not-live.js";

const OFTEN = 2_000; // milliseconds; within this time after a change, the desk fetches the page

class LiveDesk extends HTMLElement {
  connectedCallback() {
    this.badge = this.querySelector("live-badge");
    this.poll = whileNotLive(() => this.renew());
    this.stream = follow(`/ws/line/${this.getAttribute("event")}/`, {
      onState: () => this.renew(),
      onStatus: (status, _code, currentAt) => {
        this.status = status;
        if (!this.isBehind) this.badge.show(status, currentAt);
        this.poll.hear("line", status);
      },
    });
  }

  disconnectedCallback() {
    this.stream.close();
    this.poll.stop();
  }

  /** Fetch the page, again and again until it is not older than the last change. */
  async renew() {
    this.isDue = true;
    if (this.isRenewing) return;
    this.isRenewing = true;
    while (this.isDue && this.isConnected) {
      this.isDue = false;
      const page = await freshPage({ within: OFTEN });
      this.isBehind = page === null;
      if (this.isBehind) {
        this.isDue = true;
        this.badge.show("stale");
      } else if (page.querySelector("live-desk")) this.take(page);
      else loadAnew(); // the log-in has ended
    }
    this.isRenewing = false;
  }

  take(page) {
    for (const fresh of page.querySelectorAll("live-desk [data-part]")) {
      const part = this.querySelector(`[data-part=${fresh.dataset.part}]`);
      if (part.matches("form")) takeForm(part, fresh);
      else part.replaceWith(fresh);
    }
    this.badge.show(this.status, now());
  }
}

/** Replace the content of a form by that of a fresh one. Leave a form that is being sent, or in which somebody writes.
 *  Leave also a form that has not changed, so that a press of its button is never lost. */
function takeForm(form, fresh) {
  form.hidden = fresh.hidden;
  if (form.dataset.submitted || isAsked(form) || isWrittenIn(form) || content(form) === content(fresh)) return;
  const focused = form.contains(document.activeElement) ? document.activeElement.value : null;
  form.replaceChildren(...fresh.childNodes);
  if (focused !== null) [...form.elements].find(({ value }) => value === focused)?.focus();
}

/** Return whether a dialog asks about a button of the form just now. */
function isAsked(form) {
  return form.querySelector("[data-asked]") !== null;
}

function isWrittenIn(form) {
  return [...form.querySelectorAll("textarea")].some((field) =>
    field === document.activeElement || field.value !== field.defaultValue || "refused" in field.dataset);
}

/** Return the content of a form without its token, which differs in each page. */
function content(form) {
  const copy = form.cloneNode(true);
  copy.querySelector("[name=csrfmiddlewaretoken]").remove();
  return copy.innerHTML;
}

customElements.define("live-desk", LiveDesk);
