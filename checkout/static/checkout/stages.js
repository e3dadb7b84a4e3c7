// The stage of a reservation on its way to being paid. `checkout/stages.py` has the same rule.

/** Return the stage of a reservation and its latest payment at `now`, in milliseconds since 1970. */
export function stageOf(reservation, payment, now) {
  const status = payment?.payment_status ?? "NOT_STARTED";
  if (reservation.state === "validated") return status === "REFUNDED" ? "refunded" : "paid";
  if (reservation.state === "paying") return "processing";
  if (reservation.state === "held" && Date.parse(reservation.expires_at) > now) {
    if (payment?.unanswered) return "unanswered";
    return status === "FAILURE" ? "failed" : "held";
  }
  if (status === "REFUNDED") return "refunded";
  if (status === "PROCESSING") return "refunding";
  return reservation.state === "released" ? "released" : "expired";
}
