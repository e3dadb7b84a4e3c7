// <live-event event="12">: an event's page, live. Each frame replaces all that is shown. The row of a deleted ticket
// type is removed. The row of a new type comes from the server's page. With `own`, the buyer's tickets are live too.

import { NO_SUCH_STREAM, follow, now } from "realtime/live.js";
import { announce } from "shop/announce.js";
import { keepFocus, takeFocus } from "shop/focus.js";
import { add, dateTime, gettext, money, multiply, setText } from "shop/formats.js";
import { freshPage } from "shop/fresh-page.js";
import { canReserve, ofTicketType } from "tickets/availability-labels.js";
import * as ownTickets from "tickets/own-tickets.js";

const FRESH = { within: 1_000, kept: 1_000 }; // milliseconds; visitors share a page for one second
const FRESH_CODE = { within: 20_000, kept: 1_000 }; // spread more, because the server makes a page for each reader
const AGAIN = 10_000; // milliseconds, if the server's page did not come

class LiveEvent extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector(".types");
    this.order = this.querySelector("form.order");
    for (const row of this.rows()) this.prepare(row);
    this.addEventListener("formdata", ({ target, formData }) => this.keepChoice(target, formData));
    this.edits = editsOfCode(this);
    const badge = this.querySelector("live-badge");
    this.streams = [
      follow(`/ws/events/${this.getAttribute("event")}/`, {
        onState: (event) => this.show(event),
        onStatus: (status, code, currentAt) => {
          badge.show(status, currentAt);
          if (code === NO_SUCH_STREAM) this.showRemoved();
        },
      }),
    ];
    if (this.hasAttribute("own")) {
      this.streams.push(
        follow("/ws/me/", {
          onState: ({ reservations }) => this.showOwn(reservations),
          onStatus: (status, _code, currentAt) => badge.show(status, currentAt, "own"),
        }),
      );
    }
    this.timer = setInterval(() => this.countDown(), 1000);
  }

  disconnectedCallback() {
    for (const stream of this.streams) stream.close();
    clearInterval(this.timer);
  }

  rows() {
    return [...this.list.querySelectorAll("[data-type]")];
  }

  row(ticketType) {
    return this.list.querySelector(`[data-type="${ticketType}"]`);
  }

  show(frame) {
    const event = { ...frame, tickets: frame.tickets.map((ticket) => this.asWithCode(ticket)) };
    this.frame = frame;
    this.event = event;
    this.showEvent(event);
    for (const row of this.rows()) {
      if (row.dataset.hidden !== undefined) continue; // a hidden type: only the server's page has it
      if (!event.tickets.some(({ id }) => String(id) === row.dataset.type)) this.keepFocus(() => row.remove());
    }
    for (const ticket of event.tickets) this.showType(ticket);
    this.querySelector('[data-field="no-types"]').hidden = event.tickets.length > 0 || event.status === "cancelled";
    if (event.tickets.some(({ id }) => this.row(id) === null)) this.addRows();
    if (this.isCodeOld()) this.renewCode();
    this.checkRefusal();
    if (this.sale !== undefined && this.sale !== event.sale) announce(saleSentence(event.sale), { urgent: true });
    this.sale = event.sale;
  }

  showEvent({ name, date, ends_at: endsAt, time_zone: zone, venue, address, description, picture, status }) {
    const heading = this.querySelector('[data-field="name"]');
    document.title = document.title.replace(heading.textContent, () => name);
    setText(heading, name);
    const time = this.querySelector('[data-field="date"]');
    time.dateTime = date;
    setText(time, dateTime(date, zone));
    this.querySelector('[data-field="ends"]').hidden = endsAt === null;
    const end = this.querySelector('[data-field="ends-at"]');
    end.dateTime = endsAt ?? "";
    setText(end, endsAt === null ? "" : dateTime(endsAt, zone));
    setText(this.querySelector('[data-field="venue"]'), venue);
    setText(this.querySelector('[data-field="address"]'), address);
    this.querySelector('[data-field="place"]').hidden = !venue && !address;
    const isCancelled = status === "cancelled";
    this.querySelector('[data-field="cancelled"]').hidden = !isCancelled;
    for (const part of this.querySelectorAll("[data-selling]")) part.hidden = isCancelled;
    const text = this.querySelector('[data-field="description"]');
    const isOther = this.description === undefined
      ? text.dataset.length !== String([...description].length)
      : this.description !== description;
    this.description = description;
    if (isOther) this.renew("description");
    if (this.querySelector('[data-field="picture"]').dataset.address !== (picture ?? "")) this.renew("picture");
  }

  /** Return a ticket type as a visitor with a code sees it: with the code's price, and open if the code opens it. */
  asWithCode(ticket) {
    const row = this.row(ticket.id);
    const { fullPrice, price, early } = row?.dataset ?? {};
    const sale = early !== undefined && ticket.sale === "upcoming" ? "open" : ticket.sale;
    return { ...ticket, sale, price: fullPrice === undefined ? ticket.price : price };
  }

  /** Return whether staff have edited the event or its codes since the server read the effect of this page's code. */
  isCodeOld() {
    return this.edits !== null && this.edits < editsOf(this.frame);
  }

  /** Show the usual prices, because the code has expired. No frame says this. The server refuses the code now. */
  endCode() {
    this.edits = null;
    this.removeAttribute("code-until");
    for (const row of this.rows()) {
      if (row.dataset.hidden !== undefined) row.remove();
      delete row.dataset.fullPrice;
      delete row.dataset.early;
      row.querySelector(".price s")?.remove();
    }
    this.order.querySelector("[name=code]")?.remove();
    const words = this.querySelector('[data-field="code"]');
    setText(words, gettext("The code has expired. Tickets have their usual prices again."));
    this.show(this.frame);
  }

  /** Fetch the effect of the code from the server; no frame has it. */
  async renewCode() {
    if (this.renewing) return;
    this.renewing = true;
    const page = await this.freshPage(FRESH_CODE);
    const fresh = page?.querySelector("live-event");
    if (this.isConnected && fresh) this.takeCode(fresh);
    const again = () => {
      this.renewing = false;
      if (this.isConnected) this.show(this.frame);
    };
    if (!this.isCodeOld()) again();
    else setTimeout(again, AGAIN); // the page did not come, or is older than the frame
  }

  /** Show the prices, the hidden ticket types and the text of the code as on a fresh page. The code may have ended. */
  takeCode(fresh) {
    this.edits = editsOfCode(fresh);
    const until = fresh.getAttribute("code-until");
    if (until === null) this.removeAttribute("code-until");
    else this.setAttribute("code-until", until);
    for (const row of this.rows()) {
      const other = fresh.querySelector(`.types [data-type="${row.dataset.type}"]`);
      if (other !== null) this.takeRow(row, other);
      else if (row.dataset.hidden !== undefined) row.remove();
    }
    for (const row of fresh.querySelectorAll(".types [data-hidden]")) {
      if (this.row(row.dataset.type) !== null) continue;
      this.list.append(row);
      this.prepare(row);
    }
    const words = fresh.querySelector('[data-field="code"]');
    if (words) this.querySelector('[data-field="code"]').replaceWith(words);
    else for (const part of this.querySelectorAll('[data-field="code"], form.order [name=code]')) part.remove();
    const [asks, asksNow] = [this, fresh].map((place) => place.querySelector("form.code"));
    if (asksNow && !asks?.contains(document.activeElement)) asks?.replaceWith(asksNow);
    this.showTotal();
  }

  /** Update a row from a fresh one. No frame has a hidden type, so its whole row is replaced. */
  takeRow(row, fresh) {
    if (row.dataset.hidden !== undefined) {
      fresh.querySelector("input").value = row.querySelector("input").value;
      row.replaceWith(fresh);
      this.prepare(fresh);
      return;
    }
    for (const name of ["price", "fullPrice", "early"]) {
      if (name in fresh.dataset) row.dataset[name] = fresh.dataset[name];
      else delete row.dataset[name];
    }
    row.querySelector(".price").replaceWith(fresh.querySelector(".price"));
  }

  /** Fetch this page again with its code. If the page is the answer to a form, the code is not in its address. */
  freshPage(when = FRESH) {
    const code = this.order.querySelector("[name=code]")?.value;
    const address = code && `${location.pathname}?${new URLSearchParams({ code })}`;
    return freshPage({ ...when, address });
  }

  /** Replace a part of the page whose HTML only the server makes. */
  async renew(field) {
    const page = await this.freshPage();
    const fresh = page?.querySelector(`[data-field="${field}"]`);
    if (fresh) this.querySelector(`[data-field="${field}"]`).replaceWith(fresh);
    else if (page === null && this.isConnected) setTimeout(() => this.renew(field), AGAIN);
  }

  showType(ticket) {
    const row = this.row(ticket.id);
    if (row === null) return;
    const { ticket_type: name, price, currency } = ticket;
    row.dataset.price = price;
    row.dataset.currency = currency;
    for (const place of row.querySelectorAll('[data-field="type-name"]')) setText(place, name);
    setText(row.querySelector('[data-field="price"]'), Number(price) === 0 ? gettext("Free") : money(price, currency));
    this.showLabel(row, ticket, { flash: true });
    nameControls(row, name);
    this.showChoice(row, ticket);
    this.showTotal();
  }

  showLabel(row, ticket, { flash }) {
    const label = row.querySelector('[data-field="label"]');
    const { tone, text } = ofTicketType(ticket, this.event.time_zone);
    if (flash && label.dataset.tone !== tone) announce(`${ticket.ticket_type}: ${text}`);
    label.dataset.tone = tone;
    setText(label, text, { flash });
  }

  /** Show the form, or the link to the checkout of the buyer's live reservation, and the limit. */
  showChoice(row, ticket) {
    const own = this.own?.(ticket.id) ?? JSON.parse(row.dataset.own);
    const most = ownTickets.canChoose(own, ticket.max_per_user);
    const input = row.querySelector("input");
    keepFocus(row, () => {
      input.disabled = most === 0 || !canReserve(ticket); // a hidden field must not be sent
      row.querySelector(".choose").hidden = input.disabled;
    }, () => row.querySelector('[data-field="label"]'));
    input.max = Math.max(1, most);
    const mine = row.querySelector(".mine");
    mine.hidden = own.reservation === null;
    mine.firstElementChild.href = `/checkout/${own.reservation}/`;
    setText(mine.firstElementChild, ownTickets.liveText(own));
    setText(row.querySelector('[data-field="limit"]'), ownTickets.limitText(own, ticket.max_per_user));
  }

  prepare(row) {
    const input = row.querySelector("input");
    for (const button of row.querySelectorAll("[data-step]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const wanted = (Number.parseInt(input.value, 10) || 0) + Number(button.dataset.step);
        input.value = Math.min(Number(input.max), Math.max(Number(input.min), wanted));
        this.showTotal();
      });
    }
    input.addEventListener("input", () => this.showTotal());
  }

  /** Send the chosen numbers along with a code, so that the page with the code has them too. */
  keepChoice(form, formData) {
    if (!form.matches("form.code")) return;
    const chosen = [...new FormData(this.order)].filter(([name, count]) => name.startsWith("amount_") && count > 0);
    for (const [name, count] of chosen) formData.set(name, count);
  }

  showTotal() {
    const rows = this.rows().filter((row) => !row.querySelector("input").disabled);
    this.keepFocus(() => { this.order.querySelector(".basket").hidden = rows.length === 0; });
    if (this.event) this.showLine({ ...this.event, canReserve: rows.length > 0 });
    if (rows.length === 0) return;
    const totals = rows.map((row) => {
      const count = Number.parseInt(row.querySelector("input").value, 10);
      return multiply(row.dataset.price, Number.isInteger(count) && count > 0 ? count : 0);
    });
    setText(this.querySelector('[data-field="total"]'), money(totals.reduce(add), rows[0].dataset.currency));
  }

  /** Show the link to the line while nothing can be reserved directly. */
  showLine({ opening, status, canReserve }) {
    const leads = opening === "draw" && status !== "cancelled" && !canReserve;
    this.querySelector('[data-field="line"]').hidden = !leads;
  }

  showOwn(reservations) {
    this.own = (ticketType) => ownTickets.ofType(reservations, ticketType);
    if (this.event) for (const ticket of this.event.tickets) this.showType(ticket);
  }

  /** Take the rows of new ticket types from the server's page. */
  async addRows() {
    const page = await this.freshPage();
    if (page === null && this.isConnected) setTimeout(() => this.show(this.frame), AGAIN);
    for (const { id } of this.event.tickets) {
      const row = this.row(id) ?? page?.querySelector(`.types [data-type="${id}"]`);
      if (!row) continue;
      if (!this.row(id)) this.prepare(row);
      this.list.append(row);
    }
    const tickets = this.frame.tickets.map((ticket) => this.asWithCode(ticket)); // now with the new rows
    this.event = { ...this.frame, tickets };
    for (const ticket of tickets) this.showType(ticket);
  }

  /** Remove the message about a refused reservation as soon as it is no longer true. */
  checkRefusal() {
    const message = this.querySelector(".alert[data-refused-type]");
    if (!message) return;
    const { refusedType: type, refusedAmount, refusedAvailable, refusedSale } = message.dataset;
    const ticket = this.event.tickets.find(({ id }) => String(id) === type);
    const hadFocus = message.contains(document.activeElement); // the message gets the focus when the page is loaded
    if (ticket?.sale === refusedSale && (refusedAvailable === "" || String(ticket.available) === refusedAvailable)) return;
    if (ticket?.sale === "open" && ticket.available >= Number(refusedAmount)) {
      const notice = document.createElement("p");
      notice.className = "notice";
      notice.textContent = gettext("Tickets are available again. You can reserve them now.");
      message.replaceWith(notice);
      if (hadFocus) takeFocus(notice); // a screen reader then reads it
      else announce(notice.textContent, { urgent: true });
    } else {
      message.remove();
      if (hadFocus) takeFocus(this.querySelector("#tickets"));
    }
  }

  showRemoved() {
    this.querySelector('[data-field="removed"]').hidden = false;
    keepFocus(this, () => { this.querySelector(".counter").hidden = true; }, () => this.querySelector("h1"));
    announce(gettext("This event is no longer available."), { urgent: true });
  }

  /** Do `change`, and keep the focus near the tickets. */
  keepFocus(change) {
    keepFocus(this, change, () => this.querySelector("#tickets"));
  }

  /** Count down to sales that open soon, and end a code that has expired, also while no frame comes. */
  countDown() {
    if (this.frame && now() >= Date.parse(this.getAttribute("code-until"))) this.endCode();
    for (const ticket of this.event?.tickets ?? []) {
      const row = ticket.sale === "upcoming" && this.row(ticket.id);
      if (row) this.showLabel(row, ticket, { flash: false });
    }
  }
}

/** Return the version of a frame's event minus the versions of its ticket types: it rises only when staff edit the
 *  event or its codes. */
function editsOf({ version, tickets }) {
  return tickets.reduce((edits, ticket) => edits - ticket.version, version);
}

/** Return `editsOf` the event from which a page with a code was made; null for a page without a code. */
function editsOfCode(page) {
  return page.hasAttribute("with-code") ? Number(page.getAttribute("with-code")) : null;
}

function saleSentence(sale) {
  if (sale === "paused") return gettext("Ticket sales are paused.");
  if (sale === "line") return gettext("People in line get tickets first.");
  if (sale === "ended" || sale === "cancelled") return gettext("Ticket sales have ended.");
  return sale === "open" ? gettext("Tickets are on sale.") : gettext("Ticket sales have not opened yet.");
}

function nameControls(row, name) {
  const group = gettext("Number of tickets: %(name)s", { name });
  row.querySelector(".stepper").setAttribute("aria-label", group);
  row.querySelector("input[type=number]").setAttribute("aria-label", group);
  row.querySelector("[data-step='-1']").setAttribute("aria-label", gettext("One ticket fewer: %(name)s", { name }));
  row.querySelector("[data-step='1']").setAttribute("aria-label", gettext("One ticket more: %(name)s", { name }));
}

customElements.define("live-event", LiveEvent);
