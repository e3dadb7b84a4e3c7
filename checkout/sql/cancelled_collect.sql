-- Record the paid orders that have tickets of a cancelled event. The statement is repeated while more orders may be
-- paid.
INSERT INTO checkout_cancelledorder (payment_id, cancellation_id, attempts, next_look_at)
SELECT DISTINCT p.id, %(event)s::bigint, 0, %(now)s::timestamptz
  FROM admission_ticket t
  JOIN tickets_reservation r ON r.id = t.reservation_id AND r.state = 'validated'
  JOIN checkout_payment p ON p.reservation_id = COALESCE(r.lead_id, r.id) AND p.status = 'SUCCESS'
 WHERE t.event_id = %(event)s
    ON CONFLICT DO NOTHING
