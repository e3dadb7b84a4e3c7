-- The reservation that a buyer made with an Idempotency-Key, as a row of `selectors.reservation_rows`. More columns say
-- how many tickets were claimed, whether the request was a batch, and whether it was for one ticket type only.
SELECT r.id, r.lead_id, r.buyer_id, r.ticket_type_id, r.quantity, r.unit_price_minor, r.currency, r.state, r.created,
       r.expires_at, r.ended_at, r.idempotency_key, r.key_of_batch, r.version, r.discount_minor, t.event_id,
       v.text AS voucher__text,
       COALESCE(r.quantity_claimed, r.quantity) AS quantity_claimed,
       r.lead_id IS NULL AND NOT EXISTS (
           SELECT FROM tickets_reservation o WHERE o.lead_id = r.id AND o.created = r.created
       ) AS is_alone
  FROM tickets_reservation r
  JOIN tickets_tickettype t ON t.id = r.ticket_type_id
  LEFT JOIN tickets_voucher v ON v.id = r.voucher_id
 WHERE r.buyer_id = %(buyer)s AND r.idempotency_key = %(key)s
