-- Reservations that have more or fewer tickets than seats that were paid for.
SELECT r.id, r.state, r.quantity, t.standing, t.seats FROM tickets_reservation r, LATERAL (
    SELECT count(*) AS standing, count(DISTINCT seat) AS seats FROM admission_ticket
     WHERE reservation_id = r.id AND state <> 'revoked') t
 WHERE (t.standing, t.seats) <> (SELECT n, n FROM (SELECT CASE WHEN r.state = 'validated' AND NOT EXISTS (
        SELECT FROM checkout_payment p
         WHERE p.status = 'REFUNDED' AND p.reservation_id = COALESCE(r.lead_id, r.id))
    THEN r.quantity ELSE 0 END AS n) due)
