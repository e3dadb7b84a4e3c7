// The labels that say how many tickets are left. `tickets/availability_labels.py` makes the same.

import { now } from "realtime/live.js";
import { dateTime, duration, gettext, ngettext, number, timeToTheSecond } from "shop/formats.js";

const FEW = 10;
const FEW_SHARE = 20;
const SOON = 3600; // seconds before a sale opens in which the label counts down; the server's label does not

/** Return the label of a ticket type, `{tone, text}`, with times in its event's zone. */
export function ofTicketType(ticket, zone) {
  return (
    notOnSale(ticket.sale, ticket.opens_at, zone) ??
    left(ticket.available, Math.max(FEW, Math.floor(ticket.amount / FEW_SHARE))) ??
    (ticket.held > 0
      ? { tone: "held", text: allOnHold(ticket.next_release_at, zone) }
      : { tone: "sold-out", text: gettext("Sold out") })
  );
}

/** Return the label of an event of the list, `{tone, text}`. Its frame does not say how many tickets are on hold. */
export function ofEvent({ sale, available }) {
  return notOnSale(sale, null) ?? left(available, FEW) ?? { tone: "sold-out", text: gettext("No tickets left") };
}

function left(available, few) {
  if (available <= 0) return null;
  if (available > few) return { tone: "open", text: gettext("%(n)s left", { n: number(available) }) };
  return { tone: "few", text: ngettext("Only %(n)s left", "Only %(n)s left", available) };
}

function notOnSale(sale, opensAt, zone) {
  if (sale === "upcoming") return { tone: "upcoming", text: opening(opensAt, zone) };
  if (sale === "ended") return { tone: "ended", text: gettext("Sales ended") };
  if (sale === "cancelled") return { tone: "ended", text: gettext("Cancelled") };
  if (sale === "paused") return { tone: "paused", text: gettext("Sales paused") };
  if (sale === "line") return { tone: "line", text: gettext("Through the line") };
  return null;
}

function opening(opensAt, zone) {
  if (!opensAt) return gettext("Not on sale yet");
  const seconds = (Date.parse(opensAt) - now()) / 1000;
  if (seconds > 0 && seconds < SOON) return gettext("On sale in %(time)s", { time: duration(seconds) });
  return gettext("On sale from %(when)s", { when: dateTime(opensAt, zone) });
}

function allOnHold(nextReleaseAt, zone) {
  if (!nextReleaseAt) return gettext("All reserved");
  const time = timeToTheSecond(nextReleaseAt, zone);
  return gettext("All reserved. Some may become available at %(time)s", { time });
}

/** Return whether to offer to reserve a type, also while all its tickets are on hold: a hold may end. */
export function canReserve(ticket) {
  return ticket.sale === "open" && ticket.available + ticket.held > 0;
}
