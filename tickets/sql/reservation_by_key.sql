-- The reservation that a buyer made with an Idempotency-Key, as a row of `selectors.reservation_rows`.
SELECT r.id, r.lead_id, r.buyer_id, r.ticket_type_id, r.quantity, r.unit_price_minor, r.currency, r.state, r.created,
       r.expires_at, r.ended_at, r.idempotency_key, r.version, t.event_id
  FROM tickets_reservation r
  JOIN tickets_tickettype t ON t.id = r.ticket_type_id
 WHERE r.buyer_id = %(buyer)s AND r.idempotency_key = %(key)s
