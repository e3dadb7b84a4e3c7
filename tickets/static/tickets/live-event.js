// <live-event event="12">: an event's page, live: what is left, in words; steppers; the total before the click.

import { follow } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { moment, money, put, say, times } from "shop/words.js";
import { mayTry, ofType } from "tickets/availability-labels.js";

class LiveEvent extends HTMLElement {
  connectedCallback() {
    for (const row of this.querySelectorAll("[data-type]")) prepare(row);
    const badge = this.querySelector("live-badge");
    this.stream = follow(`/ws/events/${this.getAttribute("event")}/`, {
      onState: (event) => this.show(event),
      onStatus: (status) => badge.show(status),
    });
    this.timer = setInterval(() => this.countDown(), 1000);
  }

  disconnectedCallback() {
    this.stream.close();
    clearInterval(this.timer);
  }

  show(event) {
    this.types = event.tickets;
    put(this.querySelector('[data-field="name"]'), event.name);
    put(this.querySelector('[data-field="date"]'), moment(event.date));
    for (const ticket of event.tickets) this.showType(ticket);
    if (this.sale !== undefined && this.sale !== event.sale) announce(changed(event.sale), { urgent: true });
    this.sale = event.sale;
  }

  showType(ticket) {
    const row = this.querySelector(`[data-type="${ticket.id}"]`);
    if (row === null) return location.reload(); // a kind of ticket that was not there when the page was made
    showStanding(row, ticket);
    row.dataset.price = ticket.price;
    const form = row.querySelector("form");
    if (form === null) return undefined;
    form.hidden = !mayTry(ticket);
    form.amount.max = ticket.max_per_user;
    showTotal(row);
    return undefined;
  }

  /** A sale that opens soon counts down between two frames. */
  countDown() {
    for (const ticket of this.types ?? []) {
      const row = ticket.sale === "upcoming" && this.querySelector(`[data-type="${ticket.id}"]`);
      if (row) showStanding(row, ticket, { flash: false });
    }
  }
}

function showStanding(row, ticket, { flash = true } = {}) {
  const standing = row.querySelector('[data-field="standing"]');
  const { tone, words } = ofType(ticket);
  standing.dataset.tone = tone;
  put(standing, words, { flash });
}

function changed(sale) {
  if (sale === "paused") return say("The sale is paused for the moment.");
  if (sale === "ended") return say("The sale has ended.");
  return sale === "open" ? say("Tickets are on sale.") : say("The sale has not begun yet.");
}

function prepare(row) {
  const form = row.querySelector("form");
  if (form === null) return;
  for (const button of row.querySelectorAll("[data-step]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const input = form.amount;
      const wanted = (Number.parseInt(input.value, 10) || 0) + Number(button.dataset.step);
      input.value = Math.min(Number(input.max), Math.max(Number(input.min), wanted));
      showTotal(row);
    });
  }
  form.amount.addEventListener("input", () => showTotal(row));
}

function showTotal(row) {
  const count = Number.parseInt(row.querySelector("form").amount.value, 10);
  const total = Number.isInteger(count) && count > 0 ? times(row.dataset.price, count) : "0";
  put(row.querySelector('[data-field="total"]'), money(total, row.dataset.currency));
}

customElements.define("live-event", LiveEvent);
