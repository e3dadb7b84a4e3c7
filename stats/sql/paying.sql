-- The payments in progress, counted up to a limit, and the payments that have taken so long that they are in doubt. An
-- order has one payment for all its reservations, so it counts once.
SELECT (SELECT count(DISTINCT p.order_id) FROM (SELECT COALESCE(lead_id, id) AS order_id FROM tickets_reservation
           WHERE state = 'paying' LIMIT %(limit)s) p) AS in_flight,
       (SELECT count(DISTINCT p.order_id) FROM (SELECT COALESCE(lead_id, id) AS order_id FROM tickets_reservation
           WHERE state = 'paying' AND paying_since < %(doubtful_since)s LIMIT %(limit)s) p) AS in_doubt,
       (SELECT COALESCE(json_agg(d), '[]') FROM (
            SELECT COALESCE(r.lead_id, r.id) AS id, r.paying_since, sum(r.quantity) AS amount,
                   string_agg(t.name, ', ' ORDER BY r.id) AS ticket_type, min(e.name) AS event
              FROM (SELECT id, lead_id, paying_since, quantity, ticket_type_id FROM tickets_reservation
                     WHERE state = 'paying' AND paying_since < %(doubtful_since)s
                     ORDER BY paying_since, id LIMIT %(limit)s) r
              JOIN tickets_tickettype t ON t.id = r.ticket_type_id
              JOIN tickets_event e ON e.id = t.event_id
             GROUP BY COALESCE(r.lead_id, r.id), r.paying_since
             ORDER BY r.paying_since, COALESCE(r.lead_id, r.id) LIMIT %(first)s) d) AS doubtful
