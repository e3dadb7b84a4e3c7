-- How many holds end within a minute and within five minutes, counted up to a limit; and the holds that end first.
SELECT (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'held'
           AND expires_at < %(now)s + interval '1 minute' LIMIT %(limit)s) m) AS within_minute,
       (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'held'
           AND expires_at < %(now)s + interval '5 minutes' LIMIT %(limit)s) m) AS within_five,
       (SELECT COALESCE(json_agg(f), '[]') FROM (
            SELECT r.id, r.expires_at, r.quantity AS amount, t.name AS ticket_type, e.name AS event
              FROM tickets_reservation r
              JOIN tickets_tickettype t ON t.id = r.ticket_type_id
              JOIN tickets_event e ON e.id = t.event_id
             WHERE r.state = 'held' AND r.expires_at < %(now)s + interval '5 minutes'
             ORDER BY r.expires_at, r.id LIMIT %(first)s) f) AS first
