-- Orders that are being paid for but have no payment in flight, and payments in flight whose order is not being paid
-- for.
SELECT COALESCE(r.lead, p.reservation_id) AS order_id, r.lead AS paying, p.reservation_id AS in_flight
  FROM (SELECT DISTINCT COALESCE(lead_id, id) AS lead FROM tickets_reservation WHERE state = 'paying') r
  FULL JOIN (SELECT reservation_id FROM checkout_payment WHERE status IN ('PENDING', 'PROCESSING')) p
    ON p.reservation_id = r.lead
 WHERE r.lead IS NULL OR p.reservation_id IS NULL
