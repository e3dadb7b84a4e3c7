// The sentences about the buyer's own tickets on an event's page. `tickets/own_tickets.py` makes the same.

import { gettext, ngettext, number } from "shop/formats.js";

/** Sum up the buyer's reservations of a ticket type: `{reservation, is_paying, on_hold, paid}`. */
export function ofType(reservations, ticketType) {
  const mine = reservations.filter((each) => each.ticket_type === ticketType);
  const live = mine.find(({ state }) => state === "held" || state === "paying");
  return {
    reservation: live?.id ?? null,
    is_paying: live?.state === "paying",
    on_hold: live?.amount ?? 0,
    paid: mine.filter(({ state }) => state === "validated").reduce((sum, { amount }) => sum + amount, 0),
  };
}

/** Return the text of the link to the checkout, or an empty text without a live reservation. */
export function liveText(own) {
  if (own.reservation === null) return "";
  if (own.is_paying) {
    return ngettext(
      "Your payment for %(n)s ticket is in progress. Check status",
      "Your payment for %(n)s tickets is in progress. Check status",
      own.on_hold,
    );
  }
  return ngettext(
    "You have %(n)s reserved ticket. Go to checkout", "You have %(n)s reserved tickets. Go to checkout", own.on_hold,
  );
}

/** Return a text that says how many tickets of a type one person may have, and how many the buyer has bought. */
export function limitText(own, limit) {
  const text = gettext("Limit: %(limit)s per person.", { limit: number(limit) });
  if (own.paid === 0) return text;
  return `${text} ${ngettext("You bought %(n)s.", "You bought %(n)s.", own.paid)}`;
}

/** Return how many more tickets of a type the buyer may reserve now. */
export function canChoose(own, limit) {
  return own.reservation === null ? Math.max(0, limit - own.paid) : 0;
}
