// <live-event event="12">: an event's page, live: availability labels, steppers, and the total of a selection.

import { follow } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { dateTime, gettext, money, multiply, setText } from "shop/formats.js";
import { canReserve, ofTicketType } from "tickets/availability-labels.js";

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
    setText(this.querySelector('[data-field="name"]'), event.name);
    setText(this.querySelector('[data-field="date"]'), dateTime(event.date));
    for (const ticket of event.tickets) this.showType(ticket);
    if (this.sale !== undefined && this.sale !== event.sale) announce(saleSentence(event.sale), { urgent: true });
    this.sale = event.sale;
  }

  showType(ticket) {
    const row = this.querySelector(`[data-type="${ticket.id}"]`);
    if (row === null) return location.reload(); // a ticket type that was added after the page was made
    showLabel(row, ticket);
    row.dataset.price = ticket.price;
    const form = row.querySelector("form");
    if (form === null) return undefined;
    form.hidden = !canReserve(ticket);
    form.amount.max = ticket.max_per_user;
    showTotal(row);
    return undefined;
  }

  /** Count down to sales that open soon, between frames. */
  countDown() {
    for (const ticket of this.types ?? []) {
      const row = ticket.sale === "upcoming" && this.querySelector(`[data-type="${ticket.id}"]`);
      if (row) showLabel(row, ticket, { flash: false });
    }
  }
}

function showLabel(row, ticket, { flash = true } = {}) {
  const label = row.querySelector('[data-field="label"]');
  const { tone, text } = ofTicketType(ticket);
  label.dataset.tone = tone;
  setText(label, text, { flash });
}

function saleSentence(sale) {
  if (sale === "paused") return gettext("Ticket sales are paused.");
  if (sale === "ended") return gettext("Ticket sales have ended.");
  return sale === "open" ? gettext("Tickets are on sale.") : gettext("Ticket sales have not started yet.");
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
  const total = Number.isInteger(count) && count > 0 ? multiply(row.dataset.price, count) : "0";
  setText(row.querySelector('[data-field="total"]'), money(total, row.dataset.currency));
}

customElements.define("live-event", LiveEvent);
