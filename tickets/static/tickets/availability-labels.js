// How it stands with a ticket, in words: the same as `tickets/selling.py` says when the page is made.

import { now } from "realtime/live.js";
import { clock, minutes, moment, number, say, sayMany } from "shop/words.js";

const FEW = 10;
const FEW_SHARE = 20;
const SOON = 3600; // seconds before its opening in which a sale counts down

/** Will say how it stands with a ticket type: `{tone, words}`. */
export function ofType(ticket) {
  return notOnSale(ticket.sale, ticket.opens_at) ?? left(
    ticket.available, Math.max(FEW, Math.floor(ticket.amount / FEW_SHARE)),
    ticket.held > 0 ? { tone: "carts", words: inCarts(ticket.next_release_at) } : { tone: "out", words: say("Sold out") },
  );
}

/** Will say how it stands with an event of the list. */
export function ofEvent(event) {
  return notOnSale(event.sale, null) ?? left(
    event.available, FEW, { tone: "out", words: say("None left right now") },
  );
}

function left(available, few, none) {
  if (available > few) return { tone: "open", words: say("%(n)s left", { n: number(available) }) };
  if (available > 0) return { tone: "few", words: sayMany("Only %(n)s left", "Only %(n)s left", available) };
  return none;
}

function notOnSale(sale, opensAt) {
  if (sale === "upcoming") return { tone: "upcoming", words: opening(opensAt) };
  if (sale === "ended") return { tone: "ended", words: say("Sale ended") };
  if (sale === "paused") return { tone: "paused", words: say("Sale paused") };
  return null;
}

function opening(opensAt) {
  if (!opensAt) return say("Not on sale yet");
  const seconds = (Date.parse(opensAt) - now()) / 1000;
  if (seconds > 0 && seconds < SOON) return say("Opens in %(time)s", { time: minutes(seconds) });
  return say("Opens %(when)s", { when: moment(opensAt) });
}

function inCarts(nextReleaseAt) {
  if (!nextReleaseAt) return say("All remaining are in other people's carts");
  return say("All remaining are in other people's carts; the next may return at %(time)s", {
    time: clock(nextReleaseAt),
  });
}

/** Will say whether to offer the button: also where all are held, for a hold may end before it is pressed. */
export function mayTry(ticket) {
  return ticket.sale === "open" && ticket.available + ticket.held > 0;
}
