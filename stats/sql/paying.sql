-- Payments in progress, counted up to a limit, and those that have taken so long that they are in doubt.
SELECT (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'paying' LIMIT %(limit)s) p) AS in_flight,
       (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'paying'
           AND paying_since < %(doubtful_since)s LIMIT %(limit)s) p) AS in_doubt,
       (SELECT COALESCE(json_agg(d), '[]') FROM (
            SELECT r.id, r.paying_since, r.quantity AS amount, t.name AS ticket_type, e.name AS event
              FROM tickets_reservation r
              JOIN tickets_tickettype t ON t.id = r.ticket_type_id
              JOIN tickets_event e ON e.id = t.event_id
             WHERE r.state = 'paying' AND r.paying_since < %(doubtful_since)s
             ORDER BY r.paying_since, r.id LIMIT %(first)s) d) AS doubtful
